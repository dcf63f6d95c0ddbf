"""Where a case stands: placement, transitions, ageing, and the decisions that stand."""

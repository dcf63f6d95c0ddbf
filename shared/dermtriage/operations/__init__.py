"""Recovery, the sweep of orphans, invariants and metrics."""

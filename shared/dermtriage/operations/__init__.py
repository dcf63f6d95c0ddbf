"""What keeps the system sound and shows its state: recovery, orphan sweep, invariants, metrics.

Nothing here decides how a case is triaged, and no other room imports these modules.
"""

"""The exit statuses of worker and upkeep, for the log of their supervisor.

Only a process that was told to stop ends with 0, so that whatever restarts failed processes starts
another.
"""

STOPPED = 0
"""It was told to stop (SIGTERM or SIGINT)."""

FAILED = 1
"""It did not start, or ended without having been told to."""

STALLED = 70
"""It ended itself, because it could do no more work."""

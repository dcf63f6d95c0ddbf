"""What the two Celery workers share as processes."""

QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
"""Workers report to the database; Celery's own events leak keys in Redis."""

STALLED = 70
"""Exit status of a process that ended itself, for its supervisor's log."""

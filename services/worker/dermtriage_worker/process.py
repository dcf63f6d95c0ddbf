"""What both Celery workers have in common as processes."""

QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
"""Health is told through the database; Celery's own chatter leaks keys in Redis."""

STALLED = 70
"""Exit status of a process that ended itself, for its supervisor's log."""

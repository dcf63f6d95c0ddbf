"""The present moment."""

from datetime import UTC, datetime


def utcnow() -> datetime:
    """Return the present moment, aware."""
    return datetime.now(UTC)

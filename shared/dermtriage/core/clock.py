"""The current time."""

from datetime import UTC, datetime


def utcnow() -> datetime:
    """Return the current time in UTC, as an aware datetime."""
    return datetime.now(UTC)

"""Checks of what people and programs hand in."""

from dermtriage.core.errors import RequestRejected


def check_text(what: str, value: str, limit: int) -> None:
    """Refuse an actor or a reason that is blank or too long.

    Raises
    ------
    RequestRejected
        If it is.
    """
    if not value.strip() or len(value) > limit:
        raise RequestRejected(f"The {what} must have 1 to {limit} characters.", field=what)

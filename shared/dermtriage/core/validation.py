"""Checks of names and texts that people and programs pass in."""

from dermtriage.core.errors import RequestRejected

STORABLE_TEXT = r"^[^\x00]*$"
"""Pattern of the texts that PostgreSQL can store: any without a NUL character."""


def checked_name(name: str, field: str, max_length: int) -> str:
    """Return a name without the white space around it.

    Raises
    ------
    RequestRejected
        If it is empty, too long, or holds control characters.
    """
    name = name.strip()
    if not 0 < len(name) <= max_length or not name.isprintable():
        raise RequestRejected(
            f"The name is empty, longer than {max_length} characters, or holds control characters.",
            field=field,
            remedy="Choose another.",
        )
    return name


def check_text(field: str, value: str, max_length: int) -> None:
    """Refuse a text, such as an actor or a reason, that is blank or too long.

    Raises
    ------
    RequestRejected
        If it is.
    """
    if not value.strip() or len(value) > max_length:
        raise RequestRejected(f"The {field} must have 1 to {max_length} characters.", field=field)

"""Keyset cursors: the position where a page ended, as an opaque URL-safe string."""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from dermtriage.core.errors import RequestRejected


def encode(*parts: int | datetime | UUID) -> str:
    """Return the cursor of a row whose sort key has these values."""
    plain = json.dumps([p if isinstance(p, int) else str(p) for p in parts])
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def decode(cursor: str, *kinds: type) -> list[Any]:
    """Return the values of a cursor that `encode` made.

    Parameters
    ----------
    kinds
        The types of the values, `int`, `datetime` or `UUID`, in their order.

    Raises
    ------
    RequestRejected
        If the string is not a cursor of these types.
    """
    try:
        plain = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = json.loads(plain)
        return [_value(part, kind) for part, kind in zip(parts, kinds, strict=True)]
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise RequestRejected(
            "The cursor cannot be read.",
            field="cursor",
            remedy="Use next_cursor of an earlier response, or leave it out to start again.",
            code="invalid_cursor",
        ) from error


def _value(part: object, kind: type) -> int | datetime | UUID:
    if kind is int:
        if type(part) is not int or not 0 <= part < 2**15:
            raise ValueError("not a small number")
        return part
    if not isinstance(part, str):
        raise TypeError("not a string")
    if kind is UUID:
        return UUID(part)
    moment = datetime.fromisoformat(part)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    # Python accepts UTC offsets that PostgreSQL does not.
    return moment.astimezone(UTC)

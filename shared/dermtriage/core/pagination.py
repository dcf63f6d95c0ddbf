"""Keyset cursors: where a page ended, as an opaque word that may stand in a URL."""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from dermtriage.core.errors import RequestRejected


def encode(*parts: int | datetime | UUID) -> str:
    """Return the cursor that stands for these values of a sort key."""
    plain = json.dumps([p if isinstance(p, int) else str(p) for p in parts])
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def decode(cursor: str, *kinds: type) -> list[Any]:
    """Return the values of these kinds that `encode` was given.

    Raises
    ------
    RequestRejected
        If the word is no cursor of these kinds.
    """
    try:
        plain = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = json.loads(plain)
        return [_value(part, kind) for part, kind in zip(parts, kinds, strict=True)]
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise RequestRejected(
            "The cursor cannot be read.",
            field="cursor",
            remedy="Use next_cursor of an earlier answer as it is, or leave it out to begin.",
            code="invalid_cursor",
        ) from error


def _value(part: object, kind: type) -> int | datetime | UUID:
    if kind is int:
        if type(part) is not int or not 0 <= part < 2**15:
            raise ValueError("not a small number")
        return part
    if not isinstance(part, str):
        raise TypeError("not a text")
    if kind is UUID:
        return UUID(part)
    moment = datetime.fromisoformat(part)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    # PostgreSQL does not read every offset that Python does.
    return moment.astimezone(UTC)

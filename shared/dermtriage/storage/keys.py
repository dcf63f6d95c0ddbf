"""The keys of objects in the image store.

They are made of our own identifiers only. They start with the last two hexadecimal digits of the
id: ids sort by time, and an object store balances its load by prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Kind = Literal["originals", "quarantine", "renditions", "heat_maps"]


@dataclass(frozen=True, slots=True)
class StoredOriginal:
    """An original in the store, and when it was stored or put into quarantine."""

    image_id: UUID
    stored_at: datetime


def object_key(kind: Kind, image_id: UUID) -> str:
    """Return the key of an object."""
    return f"{kind}/{image_id.hex[-2:]}/{image_id}"


def stored_originals(page: Sequence[tuple[str, datetime]]) -> list[StoredOriginal]:
    """Return the originals on a page of keys; objects that are not ours are left out."""
    return [
        StoredOriginal(image_id, stored_at)
        for key, stored_at in page
        if (image_id := _image_id(key))
    ]


def _image_id(key: str) -> UUID | None:
    try:
        return UUID(key.rsplit("/", 1)[1])
    except ValueError:
        return None

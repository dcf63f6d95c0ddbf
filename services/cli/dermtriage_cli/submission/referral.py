"""A referral as it is sent, and its idempotency key."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dermtriage.core.enums import ImageType


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph of a referral; its file is read when it is sent."""

    read: Callable[[], bytes]
    image_type: ImageType = ImageType.DERMOSCOPIC


@dataclass(frozen=True, slots=True)
class Referral:
    """One case to be sent."""

    name: str
    """The clinic's own name for it; never sent."""
    photographs: tuple[Photograph, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the case, without ``images``."""


def idempotency_key(metadata: Mapping[str, Any]) -> str:
    """Return the idempotency key of a referral: a digest of its content.

    The same referral has the same key on every day and machine; with one field changed it has
    another key.
    """
    canonical = json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()

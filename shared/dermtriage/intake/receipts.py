"""The receipt of a case, which the clinic gets in response to its upload."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from dermtriage.core.enums import ImageType, Priority
from dermtriage.models import Case


@dataclass(frozen=True, slots=True)
class ReceiptImage:
    """One received photograph."""

    image_id: UUID
    image_type: ImageType
    sha256: str
    byte_size: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """The confirmation that a case and its photographs are stored."""

    case_id: UUID
    received_at: datetime
    priority: Priority
    images: tuple[ReceiptImage, ...]
    created: bool
    """False if the same request made the case before."""

    @classmethod
    def of(cls, case: Case, *, created: bool) -> Self:
        """Return the receipt of a case whose images are loaded."""
        return cls(
            case_id=case.id,
            received_at=case.received_at,
            priority=case.priority,
            images=tuple(
                ReceiptImage(image.id, image.image_type, image.sha256.hex(), image.byte_size)
                for image in case.images
            ),
            created=created,
        )

    @property
    def pending_image_ids(self) -> list[UUID]:
        """The images to send messages for, once the transaction has been committed."""
        if not self.created:
            return []
        return [i.image_id for i in self.images if i.image_type is not ImageType.OVERVIEW]

"""The receipt of a case: what the clinic keeps of an upload."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from dermtriage.core.enums import ImageType, Priority
from dermtriage.models import Case


@dataclass(frozen=True, slots=True)
class ReceiptImage:
    """One photograph as it was taken in."""

    image_id: UUID
    image_type: ImageType
    sha256: str
    byte_size: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the clinic keeps: its case and photographs are safe from here on."""

    case_id: UUID
    received_at: datetime
    priority: Priority
    images: tuple[ReceiptImage, ...]
    created: bool
    """False when the same request had made the case before."""

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
        """The images to send for scoring once the transaction has been committed."""
        if not self.created:
            return []
        return [i.image_id for i in self.images if i.image_type is not ImageType.OVERVIEW]

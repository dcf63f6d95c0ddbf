"""One photograph of a case, as its clinic and clinicians read it."""

from collections.abc import Sequence
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from dermtriage.core.enums import ImageType, Scoring
from dermtriage.imaging.retake_advice import ADVICE, QualityReason
from dermtriage.models import Image
from dermtriage_api.schemas.common import IMAGE_ID, SHA256

IMAGE_EXAMPLE = {
    "image_id": IMAGE_ID,
    "image_type": "dermoscopic",
    "sha256": SHA256,
    "byte_size": 418233,
    "width": 3000,
    "height": 2000,
    "scoring": "scored",
    "retake_advice": [{"reason": "blurry", "advice": ADVICE[QualityReason.BLURRY]}],
}


class RetakeAdviceView(BaseModel):
    """Why a new photograph would help, and how to take it. It does not affect the score."""

    reason: QualityReason
    advice: str


class ImageView(BaseModel):
    """One photograph of a case, and the state of its scoring."""

    image_id: UUID
    image_type: ImageType
    sha256: str
    byte_size: int
    width: int = Field(description="In pixels.")
    height: int = Field(description="In pixels.")
    scoring: Scoring
    retake_advice: list[RetakeAdviceView] = Field(
        description="Empty if the photograph is good enough, and until it is scored."
    )

    @classmethod
    def of(cls, image: Image, reasons: Sequence[QualityReason]) -> Self:
        """Return the view of an image, with advice for these quality reasons."""
        return cls(
            image_id=image.id,
            image_type=image.image_type,
            sha256=image.sha256.hex(),
            byte_size=image.byte_size,
            width=image.width,
            height=image.height,
            scoring=image.scoring,
            retake_advice=[
                RetakeAdviceView(reason=reason, advice=ADVICE[reason]) for reason in reasons
            ],
        )

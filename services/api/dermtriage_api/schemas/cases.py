"""What a clinic reads: receipts, its cases, and what became of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from dermtriage.core.enums import CaseState, ImageType, Outcome, Priority, Scoring
from dermtriage.imaging.retake_advice import ADVICE, QualityReason
from dermtriage.intake.receipts import Receipt
from dermtriage.models import MAX_REASON, Case, Decision, Image
from dermtriage_api.schemas.common import (
    CASE_ID,
    DECISION_ID,
    IMAGE_ID,
    SHA256,
    Input,
    Text,
    example,
    input_example,
)
from dermtriage_api.schemas.review import REVIEW_EXAMPLE, Review

_OUTCOME = {
    "decision_id": DECISION_ID,
    "outcome": "refer_urgent",
    "advice": "Excision within two weeks.",
    "decided_at": "2026-03-02T09:41:07Z",
}
_IMAGE = {
    "image_id": IMAGE_ID,
    "image_type": "dermoscopic",
    "sha256": SHA256,
    "byte_size": 418233,
    "width": 3000,
    "height": 2000,
    "scoring": "scored",
    "retake_advice": [{"reason": "blurry", "advice": ADVICE[QualityReason.BLURRY]}],
}
_CASE = {
    "case_id": CASE_ID,
    "clinic_reference": "REF-2031",
    "patient_id": "P-88",
    "lesion_id": "L-1",
    "state": "decided",
    "priority": "routine",
    "received_at": "2026-03-01T08:15:30Z",
    "due_at": "2026-03-02T08:15:30Z",
    "changed_at": "2026-03-02T09:41:07Z",
    "replaces_case_id": None,
    "images": [_IMAGE],
    "outcome": _OUTCOME,
}


class ReceiptImageView(BaseModel):
    """One photograph as it was taken in."""

    image_id: UUID
    image_type: ImageType
    sha256: str
    byte_size: int


class ReceiptView(BaseModel):
    """What a clinic keeps: from here on its case and photographs are safe."""

    model_config = example(
        case_id=CASE_ID,
        received_at="2026-03-01T08:15:30Z",
        priority="routine",
        images=[{k: _IMAGE[k] for k in ("image_id", "image_type", "sha256", "byte_size")}],
    )

    case_id: UUID
    received_at: datetime
    priority: Priority
    images: list[ReceiptImageView]

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        """Show a receipt."""
        return cls.model_validate(receipt, from_attributes=True)


class RetakeAdviceView(BaseModel):
    """Why a new photograph would help, and how to take it. It changes no score."""

    reason: QualityReason
    advice: str


class ImageView(BaseModel):
    """One photograph of a case, and how far its scoring has come."""

    image_id: UUID
    image_type: ImageType
    sha256: str
    byte_size: int
    width: int
    height: int
    scoring: Scoring
    retake_advice: list[RetakeAdviceView] = Field(
        description="Empty if the photograph will do, and until it is scored."
    )

    @classmethod
    def of(cls, image: Image, retake: Sequence[QualityReason]) -> Self:
        """Show an image, and why it should be taken again."""
        return cls(
            image_id=image.id,
            image_type=image.image_type,
            sha256=image.sha256.hex(),
            byte_size=image.byte_size,
            width=image.width,
            height=image.height,
            scoring=image.scoring,
            retake_advice=[
                RetakeAdviceView(reason=reason, advice=ADVICE[reason]) for reason in retake
            ],
        )


class OutcomeView(BaseModel):
    """The decision that stands."""

    decision_id: UUID
    outcome: Outcome
    advice: str
    decided_at: datetime

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """Show a decision as its clinic reads it."""
        return cls(
            decision_id=decision.id,
            outcome=decision.outcome,
            advice=decision.advice,
            decided_at=decision.decided_at,
        )


class CaseView(BaseModel):
    """One case. Clinics read it without scores; `review` is there for clinicians alone."""

    model_config = example(**_CASE, review=REVIEW_EXAMPLE)

    case_id: UUID
    clinic_reference: str | None
    patient_id: str | None
    lesion_id: str | None
    state: CaseState
    priority: Priority
    received_at: datetime
    due_at: datetime
    changed_at: datetime
    replaces_case_id: UUID | None
    images: list[ImageView]
    outcome: OutcomeView | None = Field(description="Empty until a clinician has decided.")
    review: Review | None = Field(default=None, description="For clinicians alone.")

    @classmethod
    def of(
        cls,
        case: Case,
        outcome: Decision | None,
        retake: Mapping[UUID, Sequence[QualityReason]],
        review: Review | None = None,
    ) -> Self:
        """Show a case; `retake` says why which of its photographs should be taken again."""
        return cls(
            case_id=case.id,
            clinic_reference=case.clinic_reference,
            patient_id=case.patient_id,
            lesion_id=case.lesion_id,
            state=case.state,
            priority=case.priority,
            received_at=case.received_at,
            due_at=case.due_at,
            changed_at=case.changed_at,
            replaces_case_id=case.replaces_case_id,
            images=[ImageView.of(image, retake.get(image.id, ())) for image in case.images],
            outcome=OutcomeView.of(outcome) if outcome else None,
            review=review,
        )


class Withdrawal(Input):
    """Why a clinic withdraws a case."""

    model_config = input_example(reason="Sent twice.")

    reason: Text | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_REASON,
        description="Kept in the case's history. No names.",
    )


class ChangesView(BaseModel):
    """Cases that changed, the earliest change first."""

    model_config = example(
        items=[{**_CASE, "review": None}],
        next_cursor="WyIyMDI2LTAzLTAyIDA5OjQxOjA3KzAwOjAwIl0",
        has_more=False,
    )

    items: list[CaseView]
    next_cursor: str = Field(description="Keep it for the next poll, also when nothing came.")
    has_more: bool = Field(description="Whether to ask again at once.")

"""Cases: the receipt of an upload, one case, and a page of changed cases."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from dermtriage.core.enums import CaseState, ImageType, Priority
from dermtriage.imaging.retake_advice import QualityReason
from dermtriage.intake.receipts import Receipt
from dermtriage.models import MAX_REASON, Case, Decision
from dermtriage_api.schemas.case_detail import CASE_DETAIL_EXAMPLE, CaseDetail
from dermtriage_api.schemas.common import CASE_ID, Input, Text, example, input_example
from dermtriage_api.schemas.decisions import OUTCOME_EXAMPLE, OutcomeView
from dermtriage_api.schemas.images import IMAGE_EXAMPLE, ImageView

_CASE_EXAMPLE = {
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
    "images": [IMAGE_EXAMPLE],
    "outcome": OUTCOME_EXAMPLE,
}


class ReceiptImageView(BaseModel):
    """One photograph as it was stored."""

    image_id: UUID
    image_type: ImageType
    sha256: str
    byte_size: int


class ReceiptView(BaseModel):
    """The receipt of an upload: the case and its photographs are stored durably."""

    model_config = example(
        case_id=CASE_ID,
        received_at="2026-03-01T08:15:30Z",
        priority="routine",
        images=[{name: IMAGE_EXAMPLE[name] for name in ReceiptImageView.model_fields}],
    )

    case_id: UUID
    received_at: datetime
    priority: Priority
    images: list[ReceiptImageView]

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        """Return the view of a receipt."""
        return cls.model_validate(receipt, from_attributes=True)


class CaseView(BaseModel):
    """One case. `review` holds what only clinicians see, such as scores."""

    model_config = example(**_CASE_EXAMPLE, review=CASE_DETAIL_EXAMPLE)

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
    outcome: OutcomeView | None = Field(description="Null until a clinician has decided.")
    review: CaseDetail | None = Field(default=None, description="Only for clinicians.")

    @classmethod
    def of(
        cls,
        case: Case,
        outcome: Decision | None,
        retake: Mapping[UUID, Sequence[QualityReason]],
        detail: CaseDetail | None = None,
    ) -> Self:
        """Return the view of a case.

        Parameters
        ----------
        outcome
            The current decision.
        retake
            Quality reasons by image id; images that need no retake may be absent.
        detail
            Only for clinicians.
        """
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
            review=detail,
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


class CaseChangesView(BaseModel):
    """A page of changed cases, the earliest change first."""

    model_config = example(
        items=[{**_CASE_EXAMPLE, "review": None}],
        next_cursor="WyIyMDI2LTAzLTAyIDA5OjQxOjA3KzAwOjAwIl0",
        has_more=False,
    )

    items: list[CaseView]
    next_cursor: str = Field(description="Send it with the next poll, even if `items` is empty.")
    has_more: bool = Field(description="Whether more changes can be read at once.")

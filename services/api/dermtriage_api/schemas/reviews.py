"""What clinicians read and send: the worklist, claims and decisions."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from dermtriage.core.enums import Outcome, Priority, Severity
from dermtriage.models import Decision, ReviewClaim
from dermtriage.review.worklist import Item, Page
from dermtriage_api.schemas.common import (
    CASE_ID,
    CLINIC_ID,
    CLINICIAN_ID,
    DECISION_ID,
    IMAGE_ID,
    FencingToken,
    Input,
    Text,
    example,
    input_example,
)

_ITEM = {
    "case_id": CASE_ID,
    "clinic_id": CLINIC_ID,
    "clinic_name": "Aldea Norte",
    "received_at": "2026-03-01T08:15:30Z",
    "priority": "routine",
    "severity": "severe",
    "latest_severity": "severe",
    "lane": 0,
    "due_at": "2026-03-02T08:15:30Z",
    "overdue": False,
    "triage_version": 1,
    "recalled_at": None,
    "image_ids": [IMAGE_ID],
    "claimed_by": "m.okafor",
    "claim_expires_at": "2026-03-02T09:45:00Z",
}
_CLAIM = {"case_id": CASE_ID, "token": 4711, "expires_at": "2026-03-02T09:45:00Z"}
DECISION_EXAMPLE = {
    "decision_id": DECISION_ID,
    "case_id": CASE_ID,
    "clinician_id": CLINICIAN_ID,
    "outcome": "refer_urgent",
    "advice": "Excision within two weeks.",
    "diagnosis": "melanoma",
    "severity_at_decision": "severe",
    "supersedes_id": None,
    "decided_at": "2026-03-02T09:41:07Z",
}


class ItemView(BaseModel):
    """One line of the worklist."""

    model_config = example(**_ITEM)

    case_id: UUID
    clinic_id: UUID
    clinic_name: str
    received_at: datetime
    priority: Priority
    severity: Severity
    latest_severity: Severity
    lane: int = Field(ge=0, le=3)
    due_at: datetime
    overdue: bool
    triage_version: int
    recalled_at: datetime | None
    image_ids: list[UUID]
    claimed_by: str | None
    claim_expires_at: datetime | None

    @classmethod
    def of(cls, item: Item) -> Self:
        """Show a line."""
        case = item.case
        return cls(
            case_id=case.id,
            clinic_id=case.clinic_id,
            clinic_name=item.clinic_name,
            received_at=case.received_at,
            priority=case.priority,
            severity=case.severity,
            latest_severity=case.latest_severity,
            lane=case.lane,
            due_at=case.due_at,
            overdue=item.overdue,
            triage_version=case.triage_version,
            recalled_at=case.recalled_at,
            image_ids=[image.id for image in case.images],
            claimed_by=item.claimed_by,
            claim_expires_at=item.claim_expires_at,
        )


class WorklistView(BaseModel):
    """A page of the worklist, the most urgent case first."""

    model_config = example(items=[_ITEM], next_cursor=None)

    items: list[ItemView]
    next_cursor: str | None = Field(description="Empty on the last page.")

    @classmethod
    def of(cls, page: Page) -> Self:
        """Show a page."""
        return cls(items=[ItemView.of(item) for item in page.items], next_cursor=page.next_cursor)


class ClaimView(BaseModel):
    """A case on loan to the clinician who asked."""

    model_config = example(**_CLAIM)

    case_id: UUID
    token: int = Field(description="Needed to renew, release and decide.")
    expires_at: datetime

    @classmethod
    def of(cls, claim: ReviewClaim) -> Self:
        """Show a claim to whoever holds it."""
        return cls(case_id=claim.case_id, token=claim.token, expires_at=claim.expires_at)


class ClaimedView(BaseModel):
    """A new claim, and the line of the case that it lends."""

    model_config = example(claim=_CLAIM, case=_ITEM)

    claim: ClaimView
    case: ItemView


class Renewal(Input):
    """The claim to be prolonged."""

    model_config = input_example(token=4711)

    token: FencingToken


class DecisionInput(Input):
    """What a clinician decides."""

    model_config = input_example(
        token=4711,
        triage_version=1,
        outcome="refer_urgent",
        advice="Excision within two weeks.",
        diagnosis="melanoma",
    )

    token: FencingToken
    triage_version: int = Field(
        ge=0, lt=2**31, description="As the clinician saw it in the case that they read."
    )
    outcome: Outcome
    advice: Text = Field(default="", max_length=2000, description="What the clinic reads.")
    diagnosis: Text | None = Field(default=None, max_length=100)
    supersedes_id: UUID | None = Field(
        default=None, description="The standing decision, where it is to be corrected."
    )


class DecisionView(BaseModel):
    """A decision as clinicians read it."""

    model_config = example(**DECISION_EXAMPLE)

    decision_id: UUID
    case_id: UUID
    clinician_id: UUID
    outcome: Outcome
    advice: str
    diagnosis: str | None
    severity_at_decision: Severity
    supersedes_id: UUID | None
    decided_at: datetime

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """Show a decision."""
        return cls(
            decision_id=decision.id,
            case_id=decision.case_id,
            clinician_id=decision.clinician_id,
            outcome=decision.outcome,
            advice=decision.advice,
            diagnosis=decision.diagnosis,
            severity_at_decision=decision.severity_at_decision,
            supersedes_id=decision.supersedes_id,
            decided_at=decision.decided_at,
        )

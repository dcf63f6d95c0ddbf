"""Decisions, as clinicians send and read them, and the outcome that the clinic reads."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from dermtriage.core.enums import Outcome, Severity
from dermtriage.models import Decision
from dermtriage_api.schemas.common import (
    CASE_ID,
    CLINICIAN_ID,
    DECISION_ID,
    FencingToken,
    Input,
    Text,
    example,
    input_example,
)

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
OUTCOME_EXAMPLE = {
    "decision_id": DECISION_ID,
    "outcome": "refer_urgent",
    "advice": "Excision within two weeks.",
    "decided_at": "2026-03-02T09:41:07Z",
}


class DecisionInput(Input):
    """A clinician's decision on a case."""

    model_config = input_example(
        token=4711,
        triage_version=1,
        outcome="refer_urgent",
        advice="Excision within two weeks.",
        diagnosis="melanoma",
    )

    token: FencingToken
    triage_version: int = Field(
        ge=0, lt=2**31, description="`triage_version` of the case as the clinician read it."
    )
    outcome: Outcome
    advice: Text = Field(default="", max_length=2000, description="Free text for the clinic.")
    diagnosis: Text | None = Field(default=None, max_length=100)
    supersedes_id: UUID | None = Field(
        default=None, description="To correct a decision: the current decision of the case."
    )


class DecisionView(BaseModel):
    """A decision, as clinicians read it."""

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
        """Return the view of a decision."""
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


class OutcomeView(BaseModel):
    """The current decision of a case, as its clinic reads it."""

    decision_id: UUID
    outcome: Outcome
    advice: str
    decided_at: datetime

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """Return the clinic's view of a decision."""
        return cls(
            decision_id=decision.id,
            outcome=decision.outcome,
            advice=decision.advice,
            decided_at=decision.decided_at,
        )

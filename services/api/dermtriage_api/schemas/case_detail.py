"""What only clinicians see of a case: scores, metadata, history and every decision."""

from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from dermtriage.core.enums import CLASSES, CaseState, Severity
from dermtriage.models import Case, TriageEvent
from dermtriage.review.case_detail import ReviewCase, ReviewImage
from dermtriage_api.schemas.common import CLINIC_ID, IMAGE_ID
from dermtriage_api.schemas.decisions import DECISION_EXAMPLE, DecisionView

CASE_DETAIL_EXAMPLE: dict[str, Any] = {
    "clinic_id": CLINIC_ID,
    "clinic_name": "Aldea Norte",
    "severity": "severe",
    "latest_severity": "severe",
    "lane": 0,
    "triage_version": 1,
    "overdue": False,
    "recalled_at": None,
    "claimed_by": "m.okafor",
    "claim_expires_at": "2026-03-02T09:45:00Z",
    "referral": {
        "age_approx": 55,
        "sex": "female",
        "anatom_site": "lower extremity",
        "fitzpatrick_skin_type": "III",
        "clin_size_long_diam_mm": 7.5,
        "personal_hx_mm": False,
        "family_hx_mm": True,
        "onset_date": "2025-11-01",
        "history": {"changed": True, "bleeding": False},
    },
    "images": [
        {
            "image_id": IMAGE_ID,
            "severity": "severe",
            "failure": None,
            "assessment": {
                "release": "2026.12",
                "p_severe": 0.87,
                "probabilities": {
                    "akiec": 0.03,
                    "bcc": 0.04,
                    "bkl": 0.05,
                    "df": 0.01,
                    "mel": 0.8,
                    "nv": 0.06,
                    "vasc": 0.01,
                },
                "disagreement": 0.08,
                "out_of_scope": None,
                "reasons": [],
                "explanation": "7 of 8 networks say severe, 1 indeterminate.",
                "quality": {"sharpness": 0.41, "brightness": 0.62, "lesion_share": 0.14},
                "assessed_at": "2026-03-01T08:15:34Z",
            },
        }
    ],
    "events": [
        {
            "at": "2026-03-01T08:15:34Z",
            "kind": "scored",
            "from_severity": "unscored",
            "to_severity": "severe",
            "from_lane": 1,
            "to_lane": 0,
            "from_state": "open",
            "to_state": "open",
        }
    ],
    "decisions": [DECISION_EXAMPLE],
}


class MetadataView(BaseModel):
    """Patient and lesion, as the clinic described them."""

    age_approx: int | None
    sex: str | None
    anatom_site: str | None
    fitzpatrick_skin_type: str | None
    clin_size_long_diam_mm: float | None
    personal_hx_mm: bool | None
    family_hx_mm: bool | None
    onset_date: date | None
    history: dict[str, Any]

    @classmethod
    def of(cls, case: Case) -> Self:
        """Return the metadata of a case."""
        return cls.model_validate(case, from_attributes=True)


class AssessmentView(BaseModel):
    """What the release that triaged the image predicted. Probabilities range from 0 to 1."""

    release: str | None = Field(description="Name of the release.")
    p_severe: float = Field(description="Probability of a severe diagnosis.")
    probabilities: dict[str, float] = Field(description="Probability of each diagnosis.")
    disagreement: float = Field(description="How far the networks differ, from 0 to 1.")
    out_of_scope: float | None = Field(
        description="From 0 to 1: how unlike the training images it is. Null if not measured."
    )
    reasons: list[str] = Field(
        description="Why the severity differs from what the score alone would give."
    )
    explanation: str = Field(
        description="Which networks agree, and why the image is indeterminate if it is."
    )
    quality: dict[str, Any]
    assessed_at: datetime

    @classmethod
    def of(cls, scored: ReviewImage) -> Self | None:
        """Return the view of an image's assessment; None if it has none."""
        assessment = scored.assessment
        if assessment is None:
            return None
        return cls(
            release=scored.release_name,
            p_severe=assessment.p_severe,
            probabilities=dict(zip(CLASSES, assessment.probabilities, strict=True)),
            disagreement=assessment.disagreement,
            out_of_scope=assessment.out_of_scope,
            reasons=list(scored.reasons),
            explanation=scored.explanation,
            quality=assessment.quality,
            assessed_at=assessment.created_at,
        )


class ScoredImageView(BaseModel):
    """One photograph with its latest assessment."""

    image_id: UUID
    severity: Severity | None
    failure: str | None = Field(description="Why the image could not be scored.")
    assessment: AssessmentView | None

    @classmethod
    def of(cls, scored: ReviewImage) -> Self:
        """Return the view of an image with its assessment."""
        image = scored.image
        return cls(
            image_id=image.id,
            severity=image.severity,
            failure=image.failure,
            assessment=AssessmentView.of(scored),
        )


class TriageEventView(BaseModel):
    """One change of severity, lane or state."""

    at: datetime
    kind: str
    from_severity: Severity | None
    to_severity: Severity
    from_lane: int | None
    to_lane: int
    from_state: CaseState | None
    to_state: CaseState

    @classmethod
    def of(cls, event: TriageEvent) -> Self:
        """Return the view of an event."""
        return cls.model_validate(event, from_attributes=True)


class CaseDetail(BaseModel):
    """What only clinicians see of a case: scores, metadata, history and every decision."""

    clinic_id: UUID
    clinic_name: str
    severity: Severity
    latest_severity: Severity
    lane: int = Field(ge=0, le=3)
    triage_version: int = Field(description="Send it with your decision.")
    overdue: bool
    recalled_at: datetime | None
    claimed_by: str | None
    claim_expires_at: datetime | None
    referral: MetadataView
    images: list[ScoredImageView]
    events: list[TriageEventView]
    decisions: list[DecisionView]

    @classmethod
    def of(cls, review: ReviewCase) -> Self:
        """Return the view of a case for clinicians."""
        item = review.item
        case = item.case
        return cls(
            clinic_id=case.clinic_id,
            clinic_name=item.clinic_name,
            severity=case.severity,
            latest_severity=case.latest_severity,
            lane=case.lane,
            triage_version=case.triage_version,
            overdue=item.overdue,
            recalled_at=case.recalled_at,
            claimed_by=item.claimed_by,
            claim_expires_at=item.claim_expires_at,
            referral=MetadataView.of(case),
            images=[ScoredImageView.of(scored) for scored in review.images],
            events=[TriageEventView.of(event) for event in review.events],
            decisions=[DecisionView.of(decision) for decision in review.decisions],
        )

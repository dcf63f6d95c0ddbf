"""Claims of clinicians on cases."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from dermtriage.models import ReviewClaim
from dermtriage_api.schemas.common import CASE_ID, FencingToken, Input, example, input_example
from dermtriage_api.schemas.worklist import WORKLIST_ITEM_EXAMPLE, WorklistItemView

_CLAIM_EXAMPLE = {"case_id": CASE_ID, "token": 4711, "expires_at": "2026-03-02T09:45:00Z"}


class ClaimView(BaseModel):
    """A claim on a case, as the clinician who holds it reads it."""

    model_config = example(**_CLAIM_EXAMPLE)

    case_id: UUID
    token: int = Field(description="Fencing token: send it to renew, release or decide.")
    expires_at: datetime

    @classmethod
    def of(cls, claim: ReviewClaim) -> Self:
        """Return the view of a claim."""
        return cls(case_id=claim.case_id, token=claim.token, expires_at=claim.expires_at)


class ClaimedCaseView(BaseModel):
    """A new claim, and the worklist item of the claimed case."""

    model_config = example(claim=_CLAIM_EXAMPLE, case=WORKLIST_ITEM_EXAMPLE)

    claim: ClaimView
    case: WorklistItemView


class ClaimRenewal(Input):
    """The claim to renew."""

    model_config = input_example(token=4711)

    token: FencingToken

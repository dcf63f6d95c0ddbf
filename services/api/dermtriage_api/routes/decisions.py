"""Decisions: the outcome that a clinician gives a case."""

from uuid import UUID

from fastapi import APIRouter

from dermtriage.core.clock import utcnow
from dermtriage.review import decisions
from dermtriage_api.api_docs.responses import errors
from dermtriage_api.auth import ClinicianDep
from dermtriage_api.schemas.decisions import DecisionInput, DecisionView
from dermtriage_api.services import ServicesDep

router = APIRouter(prefix="/v1", tags=["review"])


@router.post(
    "/cases/{case_id}/decisions",
    status_code=201,
    summary="Decide a case",
    responses=errors(400, 401, 403, 404, 409, 413, 422, 503),
)
def decide(
    case_id: UUID, decision: DecisionInput, clinician: ClinicianDep, services: ServicesDep
) -> DecisionView:
    """Decide a case that you have claimed, by the `triage_version` that you read.

    409 if your claim has expired, if the severity rose after you read the case, or if the case has
    a decision that `supersedes_id` does not name.
    """
    with services.transaction() as session:
        made = decisions.decide(
            session,
            case_id=case_id,
            clinician_id=clinician.id,
            now=utcnow(),
            **decision.model_dump(),
        )
    return DecisionView.of(made)

"""Decisions: what a clinician says of a case, and its clinic reads."""

from uuid import UUID

from fastapi import APIRouter

from dermtriage.core.clock import utcnow
from dermtriage.review import decisions
from dermtriage_api.api_docs.openapi import errors
from dermtriage_api.auth import ClinicianDep
from dermtriage_api.schemas.reviews import DecisionInput, DecisionView
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
    """Decide with the token of your claim and the triage version that you saw.

    409 if the claim was lost, the severity rose meanwhile, or the case has another decision.
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

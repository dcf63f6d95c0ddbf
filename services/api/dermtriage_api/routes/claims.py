"""Claims: the hold of one clinician on a case, for a limited time."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from dermtriage.core.clock import utcnow
from dermtriage.models import ReviewClaim
from dermtriage.review import claims
from dermtriage.review.case_detail import read_case
from dermtriage_api.api_docs.responses import Responses, errors
from dermtriage_api.auth import ClinicianDep
from dermtriage_api.schemas.claims import ClaimedCaseView, ClaimRenewal, ClaimView
from dermtriage_api.schemas.common import FencingToken
from dermtriage_api.schemas.worklist import WorklistItemView
from dermtriage_api.services import ServicesDep

router = APIRouter(prefix="/v1", tags=["review"])

_NO_CONTENT: Responses = {204: {"description": "Every open case is claimed, or none is open."}}


@router.post(
    "/worklist/claims",
    status_code=201,
    summary="Claim the next case",
    response_model=ClaimedCaseView,
    responses=_NO_CONTENT | errors(401, 403, 503),
)
def claim_next(clinician: ClinicianDep, services: ServicesDep) -> ClaimedCaseView | Response:
    """Claim the most urgent open case that no clinician has claimed; 204 if there is none."""
    with services.transaction() as session:
        claim = claims.claim_next(
            session,
            clinician_id=clinician.id,
            now=utcnow(),
            lifetime=services.settings.review_claim_lifetime,
        )
        return Response(status_code=204) if claim is None else _claimed(session, claim)


@router.post(
    "/cases/{case_id}/claim",
    status_code=201,
    summary="Claim a case",
    responses=errors(401, 403, 404, 409, 422, 503),
)
def claim_case(case_id: UUID, clinician: ClinicianDep, services: ServicesDep) -> ClaimedCaseView:
    """Claim this case; 409 if another clinician holds it.

    If you hold it already, the claim gets a new token and a new expiry.
    """
    with services.transaction() as session:
        claim = claims.claim_case(
            session,
            case_id=case_id,
            clinician_id=clinician.id,
            now=utcnow(),
            lifetime=services.settings.review_claim_lifetime,
        )
        return _claimed(session, claim)


@router.put(
    "/cases/{case_id}/claim",
    summary="Renew a claim",
    responses=errors(400, 401, 403, 409, 413, 422, 503),
)
def renew_claim(
    case_id: UUID, renewal: ClaimRenewal, clinician: ClinicianDep, services: ServicesDep
) -> ClaimView:
    """Extend your claim before it expires; 409 if it has expired."""
    with services.transaction() as session:
        claim = claims.renew_claim(
            session,
            case_id=case_id,
            clinician_id=clinician.id,
            token=renewal.token,
            now=utcnow(),
            lifetime=services.settings.review_claim_lifetime,
        )
    return ClaimView.of(claim)


@router.delete(
    "/cases/{case_id}/claim",
    status_code=204,
    summary="Release a claim",
    responses=errors(401, 403, 404, 422, 503),
)
def release_claim(
    case_id: UUID,
    token: Annotated[FencingToken, Query()],
    clinician: ClinicianDep,
    services: ServicesDep,
) -> None:
    """End your claim, so that another clinician can claim the case.

    It is no error if the claim has already expired.
    """
    with services.transaction() as session:
        claims.release_claim(session, case_id=case_id, clinician_id=clinician.id, token=token)


def _claimed(session: Session, claim: ReviewClaim) -> ClaimedCaseView:
    item = read_case(session, case_id=claim.case_id, now=claim.claimed_at).item
    return ClaimedCaseView(claim=ClaimView.of(claim), case=WorklistItemView.of(item))

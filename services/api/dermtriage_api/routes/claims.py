"""Claims: a case on loan to one clinician."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from dermtriage.core.clock import utcnow
from dermtriage.models import ReviewClaim
from dermtriage.review import claims
from dermtriage.review.case_detail import read_case
from dermtriage_api.api_docs.openapi import Responses, errors
from dermtriage_api.auth import ClinicianDep
from dermtriage_api.schemas.common import FencingToken
from dermtriage_api.schemas.reviews import ClaimedView, ClaimView, ItemView, Renewal
from dermtriage_api.services import ServicesDep

router = APIRouter(prefix="/v1", tags=["review"])


_NOTHING_FREE: Responses = {204: {"description": "No open case is free."}}


@router.post(
    "/worklist/claims",
    status_code=201,
    summary="Claim the next case",
    response_model=ClaimedView,
    responses=_NOTHING_FREE | errors(401, 403, 503),
)
def claim_next(clinician: ClinicianDep, services: ServicesDep) -> ClaimedView | Response:
    """Take the most urgent case that nobody holds; 204 if there is none."""
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
    summary="Claim one case",
    responses=errors(401, 403, 404, 409, 422, 503),
)
def claim_case(case_id: UUID, clinician: ClinicianDep, services: ServicesDep) -> ClaimedView:
    """Take this case; whoever holds it already gets a new token. 409 if another holds it."""
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
    case_id: UUID, renewal: Renewal, clinician: ClinicianDep, services: ServicesDep
) -> ClaimView:
    """Prolong a claim before it runs out; 409 once it has."""
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
    summary="Give a case back",
    responses=errors(401, 403, 404, 422, 503),
)
def release_claim(
    case_id: UUID,
    token: Annotated[FencingToken, Query()],
    clinician: ClinicianDep,
    services: ServicesDep,
) -> None:
    """End a claim; it is no error if it held no more."""
    with services.transaction() as session:
        claims.release_claim(session, case_id=case_id, clinician_id=clinician.id, token=token)


def _claimed(session: Session, claim: ReviewClaim) -> ClaimedView:
    item = read_case(session, case_id=claim.case_id, now=claim.claimed_at).item
    return ClaimedView(claim=ClaimView.of(claim), case=ItemView.of(item))

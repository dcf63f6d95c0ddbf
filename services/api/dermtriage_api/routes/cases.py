"""Cases: a clinic sends one, and reads what became of it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from dermtriage.accounts import audit
from dermtriage.cases.decisions import current_decision
from dermtriage.clinics.feed import changed_cases
from dermtriage.clinics.own_cases import own_case
from dermtriage.clinics.withdrawal import withdraw_case
from dermtriage.core.clock import utcnow
from dermtriage.core.errors import Unavailable
from dermtriage.intake.receipts import Receipt
from dermtriage.intake.service import discard, receive_case
from dermtriage.review.case_detail import read_case
from dermtriage_api.api_docs.openapi import REFERRAL_BODY, Responses, errors
from dermtriage_api.auth import ClinicDep, PrincipalDep
from dermtriage_api.http.etag import revalidated
from dermtriage_api.http.multipart import Referral, ReferralDep
from dermtriage_api.schemas.cases import CaseView, ChangesView, ReceiptView, Withdrawal
from dermtriage_api.schemas.review import Review
from dermtriage_api.services import Services, ServicesDep

router = APIRouter(prefix="/v1/cases", tags=["cases"])

_NOT_MODIFIED: Responses = {304: {"description": "You have just that."}}


@router.post(
    "",
    status_code=202,
    summary="Send a case with its photographs",
    response_model=ReceiptView,
    responses=errors(400, 401, 403, 408, 409, 413, 415, 422, 503),
    openapi_extra=REFERRAL_BODY,
)
def create_case(clinic: ClinicDep, referral: ReferralDep, services: ServicesDep) -> Response:
    """Take in one lesion of one patient, safely, and score it soon.

    The body is `multipart/form-data`: a part `metadata` (JSON) and a part `images` for each
    photograph, in the order of `metadata.images`. Repeat a request with the same
    `Idempotency-Key` as often as the line demands: it makes one case, and the answer to a
    repetition carries `Idempotency-Replayed: true`.
    """
    receipt = _take_in(services, clinic.id, referral)
    for image_id in receipt.pending_image_ids:
        services.sender.send_score(image_id)
    headers = {"Location": f"/v1/cases/{receipt.case_id}"}
    if not receipt.created:
        headers["Idempotency-Replayed"] = "true"
    body = ReceiptView.of(receipt).model_dump_json()
    return Response(body, 202, headers, "application/json")


def _take_in(services: Services, clinic_id: UUID, referral: Referral) -> Receipt:
    receipt = None
    try:
        with services.transaction() as session:
            receipt = receive_case(
                session,
                services.store,
                clinic_id=clinic_id,
                idempotency_key=referral.idempotency_key,
                metadata=referral.metadata,
                files=referral.files,
                now=utcnow(),
            )
    except Unavailable:
        # The commit may have succeeded although its answer was lost: then the case needs its
        # photographs. If it did not, the sweep removes them.
        raise
    except Exception:
        if receipt is not None:
            discard(services.store, receipt)
        raise
    return receipt


@router.get(
    "",
    summary="List your cases that changed",
    response_model=ChangesView,
    responses=_NOT_MODIFIED | errors(401, 403, 422, 503),
)
def list_cases(
    request: Request,
    clinic: ClinicDep,
    services: ServicesDep,
    cursor: Annotated[
        str | None, Query(max_length=200, description="`next_cursor` of the last answer.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Poll this: each answer's `next_cursor` asks for what changed since.

    A case may come twice and none is left out. Send `If-None-Match` with the last `ETag`.
    """
    with services.transaction() as session:
        changes = changed_cases(
            session, clinic_id=clinic.id, cursor=cursor, limit=limit, now=utcnow()
        )
    view = ChangesView(
        items=[CaseView.of(own.case, own.outcome, own.retake) for own in changes.cases],
        next_cursor=changes.next_cursor,
        has_more=changes.has_more,
    )
    return revalidated(request, view)


@router.get(
    "/{case_id}",
    summary="Read a case",
    response_model=CaseView,
    responses=_NOT_MODIFIED | errors(401, 404, 422, 503),
)
def show_case(
    request: Request, case_id: UUID, principal: PrincipalDep, services: ServicesDep
) -> Response:
    """Read state and outcome as the clinic, or everything as a clinician.

    Another clinic's case is not found. Send `If-None-Match` with the last `ETag`.
    """
    with services.transaction() as session:
        if principal.is_clinic:
            own = own_case(session, clinic_id=principal.id, case_id=case_id)
            view = CaseView.of(own.case, own.outcome, own.retake)
        else:
            review = read_case(session, case_id=case_id, now=utcnow())
            audit.record(
                session,
                actor_kind="clinician",
                actor_id=principal.id,
                action="case.viewed",
                case_id=case_id,
            )
            outcome = current_decision(session, case_id)
            retake = {scored.image.id: scored.retake for scored in review.images}
            view = CaseView.of(review.item.case, outcome, retake, Review.of(review))
    return revalidated(request, view)


@router.post(
    "/{case_id}/withdraw",
    summary="Withdraw a case",
    responses=errors(400, 401, 403, 404, 409, 413, 422, 503),
)
def withdraw(
    case_id: UUID,
    clinic: ClinicDep,
    services: ServicesDep,
    withdrawal: Withdrawal | None = None,
) -> CaseView:
    """Withdraw your case while no clinician has decided it: nobody reads or scores it any more.

    409 if it has been decided, or a clinician is reading it. Withdrawing it again changes nothing.
    """
    reason = withdrawal.reason if withdrawal else None
    with services.transaction() as session:
        withdraw_case(session, clinic_id=clinic.id, case_id=case_id, reason=reason, now=utcnow())
        own = own_case(session, clinic_id=clinic.id, case_id=case_id)
        return CaseView.of(own.case, own.outcome, own.retake)

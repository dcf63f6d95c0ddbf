"""Cases: a clinic sends them and polls for changes; clinics and clinicians read one."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from dermtriage.accounts import audit
from dermtriage.cases.decisions import current_decision
from dermtriage.clinics.feed import changed_cases
from dermtriage.clinics.own_cases import own_case
from dermtriage.clinics.withdrawal import withdraw_case
from dermtriage.core.clock import utcnow
from dermtriage.intake.submission import submit_case
from dermtriage.review.case_detail import read_case
from dermtriage_api.api_docs.case_upload import CASE_UPLOAD_REQUEST
from dermtriage_api.api_docs.responses import NOT_MODIFIED, errors
from dermtriage_api.auth import ClinicDep, PrincipalDep
from dermtriage_api.http.case_upload import CaseUploadDep
from dermtriage_api.http.etag import conditional_response
from dermtriage_api.schemas.case_detail import CaseDetail
from dermtriage_api.schemas.cases import CaseChangesView, CaseView, ReceiptView, Withdrawal
from dermtriage_api.services import ServicesDep
from dermtriage_api.threads import uses_threads

router = APIRouter(prefix="/v1/cases", tags=["cases"])


@router.post(
    "",
    status_code=202,
    summary="Send a case",
    response_model=ReceiptView,
    responses=errors(400, 401, 403, 408, 413, 415, 422, 503),
    openapi_extra=CASE_UPLOAD_REQUEST,
)
@uses_threads("uploads")
def create_case(clinic: ClinicDep, upload: CaseUploadDep, services: ServicesDep) -> Response:
    """Store a case with its photographs durably and queue them for scoring.

    A case is one lesion of one patient. The body is `multipart/form-data`: a part `metadata`
    (JSON), and a part `images` for each photograph, in the order of `metadata.images`.

    If the connection breaks, repeat the request with the same `Idempotency-Key` as often as
    needed: it creates one case, and the response to a repetition has the header
    `Idempotency-Replayed: true`.
    """
    receipt = submit_case(
        services.databases.uploads.sessions,
        services.store,
        clinic_id=clinic.id,
        idempotency_key=upload.idempotency_key,
        metadata=upload.metadata,
        files=upload.files,
    )
    for image_id in receipt.pending_image_ids:
        services.sender.send_score(image_id)
    headers = {"Location": f"/v1/cases/{receipt.case_id}"}
    if not receipt.created:
        headers["Idempotency-Replayed"] = "true"
    body = ReceiptView.of(receipt).model_dump_json()
    return Response(body, 202, headers, "application/json")


@router.get(
    "",
    summary="List your changed cases",
    response_model=CaseChangesView,
    responses=NOT_MODIFIED | errors(401, 403, 422, 503),
)
def list_cases(
    request: Request,
    clinic: ClinicDep,
    services: ServicesDep,
    cursor: Annotated[
        str | None,
        Query(max_length=200, description="`next_cursor` of your last poll; all cases without it."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Cases per response.")] = 50,
) -> Response:
    """Poll for the cases that changed since your last poll, the earliest change first.

    Each response has a `next_cursor` for the next poll. A case may be listed twice; none is
    missed. Send the last `ETag` as `If-None-Match`: if nothing changed, the response is a 304
    without a body.
    """
    with services.transaction() as session:
        changes = changed_cases(
            session, clinic_id=clinic.id, cursor=cursor, limit=limit, now=utcnow()
        )
    view = CaseChangesView(
        items=[CaseView.of(own.case, own.outcome, own.retake) for own in changes.cases],
        next_cursor=changes.next_cursor,
        has_more=changes.has_more,
    )
    return conditional_response(request, view)


@router.get(
    "/{case_id}",
    summary="Read a case",
    response_model=CaseView,
    responses=NOT_MODIFIED | errors(401, 404, 422, 503),
)
def show_case(
    request: Request, case_id: UUID, principal: PrincipalDep, services: ServicesDep
) -> Response:
    """Read a case: as a clinic its state and outcome, as a clinician also `review`.

    A clinic gets 404 for another clinic's case. Send the last `ETag` as `If-None-Match`: if the
    case did not change, the response is a 304 without a body.
    """
    with services.transaction() as session:
        if principal.is_clinic:
            own = own_case(session, clinic_id=principal.id, case_id=case_id)
            view = CaseView.of(own.case, own.outcome, own.retake)
        else:
            review = read_case(session, case_id=case_id, now=utcnow())
            outcome = current_decision(session, case_id)
            retake = {scored.image.id: scored.retake for scored in review.images}
            view = CaseView.of(review.item.case, outcome, retake, CaseDetail.of(review))
        audit.record(
            session,
            actor_kind=principal.kind,
            actor_id=principal.id,
            action="case.viewed",
            case_id=case_id,
        )
    return conditional_response(request, view)


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

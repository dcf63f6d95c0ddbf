"""The worklist, read by clinicians."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from dermtriage.accounts import audit
from dermtriage.core.clock import utcnow
from dermtriage.core.enums import Lane, Severity
from dermtriage.review import worklist
from dermtriage_api.api_docs.responses import errors
from dermtriage_api.auth import ClinicianDep
from dermtriage_api.schemas.worklist import WorklistView
from dermtriage_api.services import ServicesDep

router = APIRouter(prefix="/v1/worklist", tags=["review"])


@router.get("", summary="Read the worklist", responses=errors(401, 403, 422, 503))
def show_worklist(
    clinician: ClinicianDep,
    services: ServicesDep,
    cursor: Annotated[
        str | None, Query(max_length=200, description="`next_cursor` of the previous page.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Cases per page.")] = 50,
    lane: Annotated[Lane | None, Query(description="0 is the most urgent.")] = None,
    severity: Severity | None = None,
    clinic_id: UUID | None = None,
    overdue: bool | None = None,
    awaiting_retake: Annotated[
        bool, Query(description="List the cases that await a retake instead of the open ones.")
    ] = False,
) -> WorklistView:
    """Read the open cases, the most urgent first: by lane, then by due time."""
    with services.transaction() as session:
        page = worklist.page(
            session,
            now=utcnow(),
            limit=limit,
            cursor=cursor,
            where=worklist.Filter(lane, severity, clinic_id, overdue, awaiting_retake),
        )
        audit.record(
            session,
            actor_kind="clinician",
            actor_id=clinician.id,
            action="worklist.viewed",
            cases=len(page.items),
        )
    return WorklistView.of(page)

"""Insert the rows of a referral whose photographs are checked and stored."""

from datetime import datetime

from sqlalchemy.orm import Session

from dermtriage.accounts import audit
from dermtriage.cases.events import TriageCause, record_event
from dermtriage.database.bulk import insert_new_rows
from dermtriage.intake.idempotency import Request
from dermtriage.intake.receipts import Receipt
from dermtriage.intake.referral import CaseMetadata
from dermtriage.intake.retakes import close_replaced_case, lock_replaced_case
from dermtriage.intake.rows import new_case, pending_images
from dermtriage.models import Image
from dermtriage.releases.queries import active_policy
from dermtriage.triage.lanes import retake_priority


def insert_case(
    session: Session, request: Request, metadata: CaseMetadata, images: list[Image], now: datetime
) -> Receipt:
    """Insert the case of a referral with its images, and queue them for scoring.

    Raises
    ------
    RequestRejected
        If no case awaits this retake.
    ConfigurationError
        If no policy is active.
    sqlalchemy.exc.IntegrityError
        If the same request has made its case meanwhile.
    """
    policy_id, policy = active_policy(session)
    fields = metadata.model_dump(exclude={"images"})
    replaced = None
    if metadata.replaces_case_id is not None:
        replaced = lock_replaced_case(session, request.clinic_id, metadata.replaces_case_id)
        fields["priority"] = retake_priority(
            metadata.priority, replaced.priority, replaced.severity, replaced.latest_severity
        )
    case = new_case(policy, request.clinic_id, fields, images, now)
    session.add_all([case, *pending_images(case), request.row(case.id)])
    record_event(session, case, "received", TriageCause(policy_id), before=None)
    audit.record(
        session,
        actor_kind="clinic",
        actor_id=request.clinic_id,
        action="case.received",
        case_id=case.id,
        images=len(images),
    )
    if replaced is not None:
        close_replaced_case(session, replaced, policy_id, now)
    insert_new_rows(session)
    return Receipt.of(case, created=True)

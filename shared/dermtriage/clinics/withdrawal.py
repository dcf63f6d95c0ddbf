"""A clinic withdraws its own case while nothing is decided."""

import logging
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from dermtriage.accounts import audit
from dermtriage.cases.decisions import current_decision
from dermtriage.cases.events import TriageCause, case_status, record_event
from dermtriage.clinics.own_cases import find_case
from dermtriage.core.enums import CaseState
from dermtriage.core.errors import Conflict
from dermtriage.core.validation import check_text
from dermtriage.models import MAX_REASON, Case, PendingImage, ReviewClaim
from dermtriage.releases.queries import active_policy

logger = logging.getLogger(__name__)


def withdraw_case(
    session: Session, *, clinic_id: UUID, case_id: UUID, reason: str | None = None, now: datetime
) -> None:
    """Withdraw an open case without a decision, or one that awaits a retake.

    Its images that are not scored yet leave the queue and stay pending: a worker that is scoring
    one of them has lost its lease, and its result is dropped. A case that is withdrawn already
    stays as it is.

    Parameters
    ----------
    reason
        In the clinic's words, at most `MAX_REASON` characters; kept in the case's history.

    Raises
    ------
    NotFound
        If there is no such case, or it is another clinic's.
    Conflict
        If the case has been decided (also if it was recalled since), or a clinician's claim on it
        is valid.
    RequestRejected
        If the reason is blank or too long.
    """
    if reason is not None:
        check_text("reason", reason, MAX_REASON)
    case = find_case(session, clinic_id=clinic_id, case_id=case_id, lock=True)
    if case.state is CaseState.WITHDRAWN:
        return
    _require_undecided(session, case)
    _require_unclaimed(session, case, now)
    _remove_from_queue(session, case)
    before = case_status(case)
    case.state, case.changed_at = CaseState.WITHDRAWN, now
    policy_id, _ = active_policy(session)
    event = record_event(session, case, "withdrawn", TriageCause(policy_id), before=before)
    if reason is not None:
        event.detail = {"reason": reason}
    audit.record(
        session,
        actor_kind="clinic",
        actor_id=clinic_id,
        action="case.withdrawn",
        case_id=case.id,
    )
    logger.info("case withdrawn", extra={"case_id": case.id})


def _remove_from_queue(session: Session, case: Case) -> None:
    # In the order in which workers lock them: else the two may wait for each other.
    queued = (
        select(PendingImage.image_id)
        .where(PendingImage.case_id == case.id)
        .order_by(PendingImage.image_id)
        .with_for_update()
    )
    image_ids = session.scalars(queued).all()
    session.execute(delete(PendingImage).where(PendingImage.image_id.in_(image_ids)))


def _require_undecided(session: Session, case: Case) -> None:
    # A case that awaits a retake has a decision, but not one about the lesion. A recalled case is
    # open again, and a later score found it severe.
    if case.state is CaseState.AWAITING_RETAKE:
        return
    if case.state is CaseState.DECIDED or current_decision(session, case.id) is not None:
        raise Conflict(
            "A clinician has decided this case.",
            remedy="Ask the clinicians to correct the decision.",
            code="already_decided",
        )


def _require_unclaimed(session: Session, case: Case, now: datetime) -> None:
    claimed = session.scalar(
        select(ReviewClaim.case_id).where(
            ReviewClaim.case_id == case.id, ReviewClaim.expires_at > now
        )
    )
    if claimed is not None:
        raise Conflict(
            "A clinician is reading this case.",
            remedy="Read the outcome, or try again later if the case is still open then.",
            code="claimed",
        )

"""A case that replaces another, whose photographs had to be taken again."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermtriage.cases.decisions import current_decision
from dermtriage.cases.events import TriageCause, case_status, record_event
from dermtriage.core.enums import CaseState, Outcome
from dermtriage.core.errors import RequestRejected
from dermtriage.models import Case


def lock_replaced_case(session: Session, clinic_id: UUID, case_id: UUID) -> Case:
    """Lock and return the case that a retake replaces.

    It awaits the retake, or is open again because a late score recalled it meanwhile.

    Raises
    ------
    RequestRejected
        If the clinic has no such case, its decision did not request a retake, or the retake has
        already arrived.
    """
    case = session.scalar(
        select(Case).where(Case.id == case_id, Case.clinic_id == clinic_id).with_for_update()
    )
    decision = current_decision(session, case.id) if case else None
    if (
        case is None
        or case.state not in {CaseState.AWAITING_RETAKE, CaseState.OPEN}
        or decision is None
        or decision.outcome is not Outcome.RETAKE
        or session.scalar(select(Case.id).where(Case.replaces_case_id == case.id)) is not None
    ):
        raise RequestRejected(
            "No case of yours with this id awaits a retake.",
            field="metadata.replaces_case_id",
            remedy="Name the case whose outcome requested a retake, or leave the field out.",
            code="replaces_unknown_case",
        )
    return case


def close_replaced_case(session: Session, case: Case, policy_id: int, now: datetime) -> None:
    """Put a case that awaited its retake back into the state decided; leave an open one open."""
    if case.state is not CaseState.AWAITING_RETAKE:
        return
    before = case_status(case)
    case.state, case.changed_at = CaseState.DECIDED, now
    record_event(session, case, "replaced", TriageCause(policy_id), before=before)

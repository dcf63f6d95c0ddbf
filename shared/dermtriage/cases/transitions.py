"""Triage stored cases: lock them, place them again, and record the events."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from dermtriage.cases.decisions import current_decision
from dermtriage.cases.events import TriageCause, case_status, record_event
from dermtriage.cases.placement import may_be_recalled, reconsider, without_lowering
from dermtriage.models import Case
from dermtriage.triage.case_severity import ImageStatus, case_severity
from dermtriage.triage.policy import Policy


def lock_cases(session: Session, case_ids: Collection[UUID]) -> Sequence[Case]:
    """Lock cases until the end of the caller's transaction, and return them with their images.

    Every writer locks cases in the order of their ids, and before any other row.
    """
    return session.scalars(
        select(Case)
        .where(Case.id.in_(case_ids))
        .order_by(Case.id)
        .options(selectinload(Case.images))
        .with_for_update(of=Case)
        .execution_options(populate_existing=True)
    ).all()


def place_case(
    session: Session, case: Case, cause: TriageCause, policy: Policy, now: datetime
) -> str | None:
    """Place one case again by its stored images; the caller holds the lock on its row.

    An open case may change its placement, a decided one may be recalled, and each change becomes
    an event. The lane of a case that has a score is never lowered here: `now` may be earlier than
    the moment at which it aged, and a policy that lowers cases needs permission (`retriage`).

    Returns
    -------
    str or None
        The kind of the event; None if nothing changed that is an event.
    """
    latest = case_severity([ImageStatus(image.scoring, image.severity) for image in case.images])
    before = case_status(case)
    decision = current_decision(session, case.id) if may_be_recalled(before, latest) else None
    transition = without_lowering(before, reconsider(before, latest, decision, policy, now))
    after = transition.placement
    case.state, case.latest_severity = transition.state, latest
    case.severity, case.lane = after.severity, after.lane
    case.due_at, case.ages_at = after.due_at, after.ages_at
    case.triage_version += transition.rose
    if decision is not None and transition.kind == "recalled":
        case.recalled_at = case.changed_at = decision.recalled_at = now
    if transition.kind is not None:
        record_event(session, case, transition.kind, cause, before=before)
    return transition.kind

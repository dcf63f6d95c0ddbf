"""Raise the lanes of cases that have waited."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from dermtriage.cases.transitions import TriageCause, place_case
from dermtriage.models import IS_OPEN, Case
from dermtriage.releases.queries import active_policy


def age_cases(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Raise the lanes of open cases whose next due interval has passed.

    Returns
    -------
    int
        How many cases were looked at; fewer than `limit` means that none is left.
    """
    cases = session.scalars(
        select(Case)
        .where(IS_OPEN, Case.ages_at <= now)
        .order_by(Case.id)
        .limit(limit)
        .options(selectinload(Case.images))
        .with_for_update(of=Case, skip_locked=True)
    ).all()
    policy_id, policy = active_policy(session)
    for case in cases:
        place_case(session, case, TriageCause(policy_id), policy, now)
    return len(cases)

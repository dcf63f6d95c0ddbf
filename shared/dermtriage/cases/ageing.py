"""Raise the lanes of open cases by age."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from dermtriage.cases.events import TriageCause
from dermtriage.cases.transitions import place_case
from dermtriage.models import IS_OPEN, Case
from dermtriage.releases.queries import active_policy


def age_cases(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Raise the lanes of open cases whose next due interval has passed.

    Returns
    -------
    int
        The number of cases that were placed again; below `limit`, none is left.
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

"""The feed of a clinic: its cases that changed since it polled last."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import literal, select, text, tuple_
from sqlalchemy.orm import Session, selectinload

from dermtriage.cases.decisions import current_decisions
from dermtriage.clinics.own_cases import OwnCase
from dermtriage.core import pagination
from dermtriage.models import Case
from dermtriage.scoring.assessments import retake_reasons

MAX_COMMIT_DELAY = timedelta(seconds=90)
"""Longest time between `changed_at` and the start of its transaction, or the commit of a short one.
It includes the difference between the clocks of two hosts."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEW_PASS = UUID(int=0)
"""In a cursor in place of a case's id: the next page begins a new pass."""


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """A page of changed cases, and the cursor for the next poll."""

    cases: list[OwnCase]
    next_cursor: str
    has_more: bool


def changed_cases(
    session: Session, *, clinic_id: UUID, cursor: str | None, limit: int, now: datetime
) -> ChangesPage:
    """Return the clinic's cases that changed after `cursor`, the earliest change first.

    A change is visible only after its commit, so a later change can be visible before an earlier
    one. The last page of a pass therefore sets the cursor back to `MAX_COMMIT_DELAY` before the
    pass began, or before the start of the oldest transaction that was running then: every earlier
    change was committed by then. A case may come twice, and none is missed.

    Raises
    ------
    RequestRejected
        If the cursor is invalid.
    """
    at, case_id, settled = _EPOCH, _NEW_PASS, _settled(session, now)
    if cursor is not None:
        at, case_id, settled_at_first = pagination.decode(cursor, datetime, UUID, datetime)
        if case_id != _NEW_PASS:
            settled = min(settled, settled_at_first)
    key = tuple_(Case.changed_at, Case.id)
    cases = list(
        session.scalars(
            select(Case)
            .where(Case.clinic_id == clinic_id, key > tuple_(literal(at), literal(case_id)))
            .order_by(Case.changed_at, Case.id)
            .limit(limit + 1)
            .options(selectinload(Case.images))
        )
    )
    has_more = len(cases) > limit
    cases = cases[:limit]
    if cases:
        at, case_id = cases[-1].changed_at, cases[-1].id
    if not has_more:
        at, case_id = min(at, settled), _NEW_PASS
        settled = at
    decisions = current_decisions(session, [case.id for case in cases])
    retake = retake_reasons(session, [image for case in cases for image in case.images])
    return ChangesPage(
        [OwnCase(case, decisions.get(case.id), retake) for case in cases],
        pagination.encode(at, case_id, settled),
        has_more,
    )


def _settled(session: Session, now: datetime) -> datetime:
    """Return a time before which every change that was made is committed.

    Read before the page: a transaction that ends in between is then seen in both.
    """
    running = session.scalar(
        text(
            "SELECT min(xact_start) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    )
    return min(now, running or now) - MAX_COMMIT_DELAY

"""What a clinic reads of its own cases."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import literal, select, tuple_
from sqlalchemy.orm import Session, selectinload

from dermtriage import cursors
from dermtriage.errors import NotFound
from dermtriage.models import Case, Decision
from dermtriage.placement import current_decision, current_decisions

OVERLAP = timedelta(seconds=90)
"""Longer than any transaction may run, so that a change committed late is still seen."""


@dataclass(frozen=True, slots=True)
class OwnCase:
    """A case with the decision that stands, if there is one."""

    case: Case
    outcome: Decision | None


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of changed cases and where to go on."""

    cases: list[OwnCase]
    next_cursor: str
    has_more: bool


def own_case(session: Session, *, clinic_id: UUID, case_id: UUID) -> OwnCase:
    """Return a case of this clinic.

    Raises
    ------
    NotFound
        If there is none, or it is another clinic's.
    """
    case = session.scalar(
        select(Case)
        .where(Case.id == case_id, Case.clinic_id == clinic_id)
        .options(selectinload(Case.images))
    )
    if case is None:
        raise NotFound("There is no such case.", remedy="Check its id.", code="case_not_found")
    return OwnCase(case, current_decision(session, case.id))


def changed_cases(
    session: Session, *, clinic_id: UUID, cursor: str | None, limit: int, now: datetime
) -> Changes:
    """Return the clinic's cases that changed after `cursor`, the earliest change first.

    The cursor of the last page points a little back: a case may come twice, and none is missed,
    although changes become visible in another order than that of their times.
    """
    statement = select(Case).where(Case.clinic_id == clinic_id).options(selectinload(Case.images))
    if cursor is not None:
        after = cursors.decode(cursor, datetime, UUID)
        key = tuple_(Case.changed_at, Case.id)
        statement = statement.where(key > tuple_(*(literal(part) for part in after)))
    cases = list(session.scalars(statement.order_by(Case.changed_at, Case.id).limit(limit + 1)))
    has_more = len(cases) > limit
    cases = cases[:limit]
    if has_more:
        next_cursor = cursors.encode(cases[-1].changed_at, cases[-1].id)
    else:
        settled = now - OVERLAP
        last = cases[-1].changed_at if cases else settled
        next_cursor = cursors.encode(min(last, settled), UUID(int=0))
    decisions = current_decisions(session, [case.id for case in cases])
    return Changes(
        [OwnCase(case, decisions.get(case.id)) for case in cases],
        next_cursor,
        has_more,
    )

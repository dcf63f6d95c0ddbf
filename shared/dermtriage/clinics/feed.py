"""What a clinic reads of its own cases."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import literal, select, tuple_
from sqlalchemy.orm import Session, selectinload

from dermtriage.cases.decisions import current_decision, current_decisions
from dermtriage.core import pagination
from dermtriage.core.errors import NotFound
from dermtriage.imaging.retake_advice import QualityReason
from dermtriage.models import Case, Decision
from dermtriage.scoring.assessments import retake_reasons

OVERLAP = timedelta(seconds=90)
"""Longer than any transaction may run, so that a change committed late is still seen."""

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_PASS_BEGINS = UUID(int=0)
"""Stands in a cursor for the id of a case where the next page begins a new pass."""


@dataclass(frozen=True, slots=True)
class OwnCase:
    """A case with the decision that stands, if there is one."""

    case: Case
    outcome: Decision | None
    retake: Mapping[UUID, tuple[QualityReason, ...]]
    """Why which photographs should be taken again."""


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
    return OwnCase(case, current_decision(session, case.id), retake_reasons(session, case.images))


def changed_cases(
    session: Session, *, clinic_id: UUID, cursor: str | None, limit: int, now: datetime
) -> Changes:
    """Return the clinic's cases that changed after `cursor`, the earliest change first.

    Changes become visible in another order than that of their times. So the cursor of the last
    page points back to where all were visible when the first page of this pass was read: a case
    may come twice, and none is missed.
    """
    at, case_id, settled = _BEGINNING, _PASS_BEGINS, now - OVERLAP
    if cursor is not None:
        at, case_id, settled_at_first = pagination.decode(cursor, datetime, UUID, datetime)
        if case_id != _PASS_BEGINS:
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
        at, case_id = min(at, settled), _PASS_BEGINS
        settled = at
    decisions = current_decisions(session, [case.id for case in cases])
    retake = retake_reasons(session, [image for case in cases for image in case.images])
    return Changes(
        [OwnCase(case, decisions.get(case.id), retake) for case in cases],
        pagination.encode(at, case_id, settled),
        has_more,
    )

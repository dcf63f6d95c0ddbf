"""The worklist shows every open case once, in order, and reads it from its index."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import MONDAY, case_in_lane

from dermtriage.core import pagination
from dermtriage.core.enums import CaseState, Lane, Severity
from dermtriage.core.errors import RequestRejected
from dermtriage.models import Case
from dermtriage.review import claims, worklist
from dermtriage.review.worklist import Filter, Page

HOUR = timedelta(hours=1)


def read(session: Session, **asked: Any) -> Page:
    return worklist.page(session, **{"now": MONDAY, "limit": 50} | asked)


def read_all(session: Session, limit: int, **asked: Any) -> Iterator[UUID]:
    """Page to the end."""
    cursor = None
    while True:
        page = read(session, limit=limit, cursor=cursor, **asked)
        assert len(page.items) <= limit
        yield from (item.case.id for item in page.items)
        cursor = page.next_cursor
        if cursor is None:
            return
        assert len(page.items) == limit


# Pages


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2), st.booleans()), max_size=20),
    st.integers(1, 7),
)
def test_pages_hold_each_open_case_once_and_in_order(
    session: Session,
    clinic_id: UUID,
    cases: list[tuple[int, int, bool]],
    limit: int,
) -> None:
    """Few lanes and few due times: most cases stand level, and their ids decide."""
    expected = []
    savepoint = session.begin_nested()
    for lane, hours, is_open in cases:
        due_at, state = MONDAY + hours * HOUR, CaseState.OPEN if is_open else CaseState.DECIDED
        case_id = case_in_lane(session, clinic_id, lane, due_at, state=state)
        if is_open:
            expected.append((lane, due_at, case_id))
    seen = list(read_all(session, limit))
    savepoint.rollback()
    assert seen == [case_id for *_, case_id in sorted(expected)]


def test_what_moves_meanwhile_neither_hides_nor_repeats_the_rest(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    ids = [case_in_lane(session, clinic_id, 2, MONDAY + n * HOUR) for n in range(6)]
    first = read(session, limit=2)
    # One that was read is decided, one more urgent arrives, one that was to come rises ahead.
    session.execute(update(Case).where(Case.id == ids[0]).values(state=CaseState.DECIDED))
    case_in_lane(session, clinic_id, 0)
    session.execute(update(Case).where(Case.id == ids[5]).values(severity="severe", lane=0))
    rest = read(session, limit=50, cursor=first.next_cursor)
    assert [item.case.id for item in first.items] == ids[:2]
    assert [item.case.id for item in rest.items] == ids[2:5]


def test_an_empty_worklist_and_an_exact_page_have_no_next(
    session: Session, clinic_id: UUID
) -> None:
    assert read(session) == Page([], None)
    case_in_lane(session, clinic_id, 3)
    assert read(session, limit=1).next_cursor is None


@pytest.mark.parametrize("year", [1, 9999])
def test_a_cursor_from_nowhere_is_only_a_place_in_the_order(
    session: Session, clinic_id: UUID, year: int
) -> None:
    lane_1, lane_2 = (case_in_lane(session, clinic_id, lane) for lane in (1, 2))
    cursor = pagination.encode(1, datetime(year, 1, 1, tzinfo=UTC), uuid4())
    seen = [item.case.id for item in read(session, cursor=cursor).items]
    assert seen == ([lane_1, lane_2] if year == 1 else [lane_2])


def test_a_foreign_cursor_is_refused(session: Session) -> None:
    with pytest.raises(RequestRejected) as refused:
        read(session, cursor=pagination.encode(MONDAY, uuid4()))
    assert refused.value.code == "invalid_cursor"


# Lines and filters


@dataclass(frozen=True)
class Line:
    """What a test knows of a case."""

    lane: int
    late: bool
    clinic: int


def test_filters_show_what_they_name(session: Session, clinic_id: UUID) -> None:
    clinics = [clinic_id, factories.clinic(session)]
    lines = {}
    for lane, late, clinic in product(range(4), (False, True), range(2)):
        due_at = MONDAY - HOUR if late else MONDAY
        lines[case_in_lane(session, clinics[clinic], lane, due_at)] = Line(lane, late, clinic)
    # A low case that was raised by its age is still low.
    aged = case_in_lane(session, clinic_id, 3)
    session.flush()
    session.execute(update(Case).where(Case.id == aged).values(lane=1))
    lines[aged] = Line(1, False, 0)

    def shown(**where: Any) -> set[UUID]:
        found = list(read_all(session, 3, where=Filter(**where)))
        assert len(found) == len(set(found))
        return set(found)

    assert shown() == set(lines)
    for lane in Lane:
        assert shown(lane=lane) == {key for key, line in lines.items() if line.lane == lane}
    assert shown(severity=Severity.LOW) == {
        key for key, line in lines.items() if line.lane == 3
    } | {aged}
    for number, each in enumerate(clinics):
        assert shown(clinic_id=each) == {k for k, line in lines.items() if line.clinic == number}
    for late in (False, True):
        assert shown(overdue=late) == {key for key, line in lines.items() if line.late == late}
    assert shown(lane=Lane.LOW, overdue=True, clinic_id=clinics[1]) == {
        key for key, line in lines.items() if line == Line(3, True, 1)
    }
    assert shown(clinic_id=uuid4()) == set()

    awaiting = {
        case_in_lane(session, clinic_id, lane, state=CaseState.AWAITING_RETAKE) for lane in range(4)
    }
    assert shown() == set(lines)
    assert shown(awaiting_retake=True) == awaiting
    assert len(shown(awaiting_retake=True, lane=Lane.LOW)) == 1


def test_a_line_tells_clinic_claim_and_delay(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    case_in_lane(session, clinic_id, 0, MONDAY)
    claim = claims.claim_next(session, clinician_id=clinician_id, now=MONDAY, lifetime=60)
    assert claim is not None
    (item,) = read(session).items
    assert (item.clinic_name, item.overdue) == ("Aldea Norte", False)
    assert (item.claimed_by, item.claim_expires_at) == ("m.okafor", MONDAY + timedelta(minutes=1))
    (item,) = read(session, now=MONDAY + timedelta(minutes=1)).items
    assert (item.overdue, item.claimed_by, item.claim_expires_at) == (True, None, None)


# The plan


FILL = text("""
    INSERT INTO cases (id, clinic_id, received_at, priority, history, state, severity,
                       latest_severity, lane, due_at, triage_version, changed_at)
    SELECT gen_random_uuid(), :clinic_id, at, 'routine', '{}',
           (ARRAY['open', 'decided', 'open', 'awaiting_retake', 'open'])[1 + n % 5],
           severity, severity,
           array_position(ARRAY['severe', 'unscored', 'indeterminate', 'low'], severity) - 1,
           at, 0, at
    FROM (SELECT n, :now + (n * 7919 % 5000) * interval '1 minute' AS at,
                 (ARRAY['severe', 'unscored', 'indeterminate', 'low'])[1 + n % 4] AS severity
          FROM generate_series(1, 5000) n) made""")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


@pytest.mark.parametrize(
    ("where", "with_cursor", "index"),
    [
        (Filter(), False, "ix_cases_worklist"),
        (Filter(), True, "ix_cases_worklist"),
        (Filter(lane=Lane.LOW), True, "ix_cases_worklist"),
        (Filter(overdue=False), False, "ix_cases_worklist"),
        (Filter(awaiting_retake=True), True, "ix_cases_awaiting_retake"),
    ],
)
def test_a_page_is_read_from_the_index(
    sessions: sessionmaker[Session], clinic_id: UUID, where: Filter, with_cursor: bool, index: str
) -> None:
    with sessions() as session:
        session.execute(FILL, {"clinic_id": clinic_id, "now": MONDAY})
        session.execute(text("ANALYZE cases, clinics, review_claims, clinicians"))
        cursor = read(session, limit=50, where=where).next_cursor if with_cursor else None
        statement = worklist.page_query(where, MONDAY, cursor).limit(51)
        # With its values, and as a prepared statement is planned that has not seen them yet.
        query = statement.compile(
            dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
        )
        prepared = statement.compile(dialect=asyncpg.dialect())
        connection = session.connection()
        plans = [
            connection.exec_driver_sql(f"EXPLAIN ({option}FORMAT JSON) {each}").scalar_one()
            for option, each in (("", query), ("GENERIC_PLAN, ", prepared))
        ]
        session.rollback()
    for plan in plans:
        found = list(nodes(plan[0]["Plan"]))
        (scan,) = (node for node in found if node.get("Index Name") == index)
        assert not [node for node in found if "Sort" in node["Node Type"]]
        if with_cursor:
            assert "ROW(" in scan["Index Cond"]

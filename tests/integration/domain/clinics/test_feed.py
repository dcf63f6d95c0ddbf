"""A clinic reads its own cases and misses no change of them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import MONDAY, SEVERE, case_in_lane

from dermtriage.clinics import feed
from dermtriage.clinics.feed import MAX_COMMIT_DELAY, ChangesPage
from dermtriage.core import pagination
from dermtriage.core.clock import utcnow
from dermtriage.core.errors import RequestRejected
from dermtriage.models import Case

SECOND = timedelta(seconds=1)


def read(session: Session, clinic_id: UUID, **changes: Any) -> ChangesPage:
    asked = {"cursor": None, "limit": 50, "now": MONDAY}
    return feed.changed_cases(session, clinic_id=clinic_id, **asked | changes)


def ids(page: ChangesPage) -> list[UUID]:
    return [own.case.id for own in page.cases]


def changed(session: Session, clinic_id: UUID, at: datetime) -> UUID:
    return case_in_lane(session, clinic_id, 3, changed_at=at)


def test_only_own_cases_come_earliest_change_first(session: Session, clinic_id: UUID) -> None:
    other = factories.clinic(session)
    late, early = (changed(session, clinic_id, MONDAY + n * SECOND) for n in (2, 1))
    changed(session, other, MONDAY)
    assert ids(read(session, clinic_id)) == [early, late]
    assert ids(read(session, factories.clinic(session))) == []


def test_whatever_a_clinic_would_see_changes_its_case(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    for hour, act in enumerate(
        (
            lambda now: factories.decide(session, receipt.case_id, clinician_id, now=now),
            lambda now: factories.score(session, receipt.pending_image_ids[0], SEVERE, now),
        ),
        start=1,
    ):
        now = MONDAY + timedelta(hours=hour)
        act(now)
        (own,) = read(session, clinic_id, now=now).cases
        assert own.case.changed_at == now


def test_pages_follow_each_other_without_gap_or_repetition(
    session: Session, clinic_id: UUID
) -> None:
    # Some changes fall on the same moment: then the id decides.
    cases = [changed(session, clinic_id, MONDAY + n // 3 * SECOND) for n in range(10)]
    pages, cursor = [], None
    while True:
        page = read(session, clinic_id, cursor=cursor, limit=4, now=MONDAY + timedelta(hours=1))
        pages.append(ids(page))
        cursor = page.next_cursor
        if not page.has_more:
            break
    assert [len(page) for page in pages] == [4, 4, 2]
    assert [case_id for page in pages for case_id in page] == cases


def test_polling_without_news_gives_the_same_answer(session: Session, clinic_id: UUID) -> None:
    """So that the ETag of an answer holds as long as nothing has changed."""
    empty = read(session, clinic_id)
    assert read(session, clinic_id, now=MONDAY + timedelta(hours=1)) == empty
    again = read(session, clinic_id, cursor=empty.next_cursor, now=MONDAY + timedelta(hours=2))
    assert again == empty

    changed(session, clinic_id, MONDAY)
    cursor, answers = empty.next_cursor, []
    for minutes in (5, 10, 15):
        answers.append(read(session, clinic_id, cursor=cursor, now=MONDAY + minutes * 60 * SECOND))
        cursor = answers[-1].next_cursor
    assert answers[1] == answers[2]
    assert len(answers[2].cases) <= 1


def test_a_change_that_was_committed_late_is_not_missed(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as slow:
        late = changed(slow, clinic_id, MONDAY)
        slow.flush()
        with sessions.begin() as quick:
            early = changed(quick, clinic_id, MONDAY + 10 * SECOND)
        with sessions() as reader:
            page = read(reader, clinic_id, now=MONDAY + 20 * SECOND)
        assert ids(page) == [early]
    with sessions() as reader:
        after = read(reader, clinic_id, cursor=page.next_cursor, now=MONDAY + 3600 * SECOND)
    assert late in ids(after)


def test_a_change_of_a_long_transaction_is_not_missed(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions() as slow:
        late = changed(slow, clinic_id, utcnow())
        slow.flush()
        in_an_hour = utcnow() + timedelta(hours=1)
        with sessions.begin() as quick:
            changed(quick, clinic_id, in_an_hour)
        with sessions() as reader:
            page = read(reader, clinic_id, now=in_an_hour)
        assert late not in ids(page)
        slow.commit()
    with sessions() as reader:
        after = read(reader, clinic_id, cursor=page.next_cursor, now=in_an_hour)
    assert late in ids(after)


def test_a_change_committed_while_a_clinic_pages_slowly_is_not_missed(
    session: Session, clinic_id: UUID
) -> None:
    for seconds in (10, 11):
        changed(session, clinic_id, MONDAY + seconds * SECOND)
    first = read(session, clinic_id, limit=1, now=MONDAY + 20 * SECOND)
    late = changed(session, clinic_id, MONDAY)  # began before both, is seen after them
    second = read(
        session, clinic_id, limit=1, cursor=first.next_cursor, now=MONDAY + timedelta(minutes=5)
    )
    assert (first.has_more, second.has_more) == (True, False)
    third = read(session, clinic_id, cursor=second.next_cursor, now=MONDAY + timedelta(minutes=6))
    assert late in ids(third)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 120),  # seconds that pass
            st.none() | st.integers(0, 3),  # the clinic reads a page, or this case changes
            st.floats(
                0, MAX_COMMIT_DELAY.total_seconds() - 1
            ),  # in a transaction that began so long ago
        ),
        max_size=30,
    ),
    st.integers(1, 3),
)
def test_a_clinic_that_polls_sees_the_last_state_of_each_case(
    session: Session, clinic_id: UUID, acts: list[tuple[float, int | None, float]], limit: int
) -> None:
    savepoint = session.begin_nested()
    cases = [changed(session, clinic_id, MONDAY - timedelta(hours=1)) for _ in range(4)]
    session.flush()
    now, cursor, known = MONDAY, None, {}

    def read_page() -> bool:
        nonlocal cursor
        page = read(session, clinic_id, cursor=cursor, limit=limit, now=now)
        known.update({own.case.id: own.case.changed_at for own in page.cases})
        cursor = page.next_cursor
        return page.has_more

    for passed, case, began_ago in acts:
        now += timedelta(seconds=passed)
        if case is None:
            read_page()
        else:
            at = now - timedelta(seconds=began_ago)
            session.execute(update(Case).where(Case.id == cases[case]).values(changed_at=at))
    for _ in range(2):  # the rest of a pass that has begun, and one more
        while read_page():
            pass
    expected = {case_id: session.get_one(Case, case_id).changed_at for case_id in cases}
    savepoint.rollback()
    assert known == expected


@pytest.mark.parametrize("year", [1, 9999])
def test_an_invented_cursor_does_no_harm(session: Session, clinic_id: UUID, year: int) -> None:
    case_id = changed(session, clinic_id, MONDAY)
    at = datetime(year, 1, 1, tzinfo=UTC)
    cursor = pagination.encode(at, uuid4(), at)
    page = read(session, clinic_id, cursor=cursor)
    assert ids(page) == ([case_id] if year == 1 else [])
    after = read(session, clinic_id, cursor=page.next_cursor, now=MONDAY + timedelta(minutes=5))
    assert not after.has_more


def test_a_foreign_cursor_is_refused(session: Session, clinic_id: UUID) -> None:
    with pytest.raises(RequestRejected) as refused:
        read(session, clinic_id, cursor=pagination.encode(1, MONDAY, uuid4()))
    assert refused.value.code == "invalid_cursor"

"""Waiting raises the lanes of open cases."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session
from tests import factories
from tests.factories import INDETERMINATE, LOW, MONDAY, NEXT_MONDAY, WEDNESDAY, change_of
from tests.scores import score_all

from dermtriage.cases import ageing
from dermtriage.core.enums import (
    Priority,
    Severity,
)


def test_waiting_cases_rise_lane_by_lane(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    score_all(session, receipt, LOW)
    course = []
    for day in range(14):
        ageing.age_cases(session, now=MONDAY + timedelta(days=day))
        case = factories.case(session, receipt)
        course.append(case.lane)
        assert case.due_at == NEXT_MONDAY
        assert case.severity is Severity.LOW
    assert course == [3] * 7 + [2] * 2 + [1] * 5
    assert case.ages_at is None
    assert [change_of(event) for event in factories.events(session, receipt)][2:] == [
        ("aged", "low", "low", 3, 2),
        ("aged", "low", "low", 2, 1),
    ]
    assert case.triage_version == 0


def test_ageing_makes_up_for_what_was_missed(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    score_all(session, receipt, LOW)
    assert ageing.age_cases(session, now=MONDAY + timedelta(days=30)) == 1
    assert factories.case(session, receipt).lane == 1
    assert change_of(factories.events(session, receipt)[-1]) == ("aged", "low", "low", 3, 1)


def test_ageing_places_a_limited_number_of_open_cases_alone(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipts = [factories.receive(session, clinic_id) for _ in range(4)]
    for receipt in receipts:
        score_all(session, receipt, LOW)
    factories.decide(session, receipts[0].case_id, clinician_id)
    looked_at = [ageing.age_cases(session, now=NEXT_MONDAY, limit=2) for _ in range(3)]
    assert looked_at == [2, 1, 0]
    lanes = [factories.case(session, receipt).lane for receipt in receipts]
    assert lanes == [3, 2, 2, 2]


def test_a_score_after_a_long_wait_counts_the_wait(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id, priority=Priority.ROUTINE)
    score_all(session, receipt, INDETERMINATE, now=MONDAY + timedelta(days=3))
    case = factories.case(session, receipt)
    assert (case.severity, case.lane, case.due_at) == (Severity.INDETERMINATE, 1, WEDNESDAY)

"""A report counts the cases that a run raised or recalled."""

from uuid import UUID

from sqlalchemy import select
from tests import factories
from tests.committed_runs import (
    SECOND,
    Sessions,
    activate,
    add_scored_case,
    finish_and_report,
    lease_chunk,
    plan_run,
    score_all_chunks,
    score_next,
)
from tests.factories import INDETERMINATE, LOW, MONDAY, SEVERE

from dermtriage.core.enums import Severity
from dermtriage.models import TriageEvent
from dermtriage.rescoring import chunk_leases, runs
from dermtriage.rescoring.scope import Scope
from dermtriage.scoring.recording import record_failure


def test_an_unscored_case_that_becomes_severe_counts_as_upgraded(
    sessions: Sessions, clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, images=2)
        first, second = receipt.pending_image_ids
        factories.score(session, first, LOW)
        assert record_failure(
            session, factories.lease_image(session, second), error="It is broken.", now=MONDAY
        )
        assert factories.case(session, receipt).severity is Severity.UNSCORED
    activate(sessions, SECOND)
    run_id = plan_run(sessions, SECOND)
    assert score_all_chunks(sessions, SEVERE) == 1
    report = finish_and_report(sessions, run_id)
    assert (report.upgrades, report.recalls) == (1, 0)
    assert report.matrix["unscored"]["severe"] == 1


def test_a_case_that_rises_twice_is_one_case(sessions: Sessions, clinic_id: UUID) -> None:
    case_id = add_scored_case(sessions, clinic_id, LOW, LOW)
    activate(sessions, SECOND)
    run_id = plan_run(sessions, SECOND)
    chunk = lease_chunk(sessions)
    assert chunk is not None
    for score in (INDETERMINATE, SEVERE):
        assert score_next(sessions, chunk, score, limit=1) == 1
    with sessions.begin() as session:
        chunk_leases.complete(session, chunk)
        events = session.scalars(select(TriageEvent).where(TriageEvent.run_id == run_id)).all()
        assert [event.case_id for event in events] == [case_id] * 2
    report = finish_and_report(sessions, run_id)
    assert report.upgrades == 1
    assert [(one.before, one.after, one.cases) for one in report.transitions] == [
        ("low", "severe", 1)
    ]


def test_recalls_are_not_counted_as_upgrades_and_the_matrix_holds_both(
    sessions: Sessions, clinic_id: UUID, clinician_id: UUID
) -> None:
    decided = add_scored_case(sessions, clinic_id, LOW)
    add_scored_case(sessions, clinic_id, INDETERMINATE)
    with sessions.begin() as session:
        factories.decide(session, decided, clinician_id)
    activate(sessions, SECOND)
    run_id = plan_run(sessions, SECOND, Scope(kind="all"))
    score_all_chunks(sessions, lambda case_id: SEVERE if case_id == decided else LOW)
    report = finish_and_report(sessions, run_id)
    assert (report.upgrades, report.recalls) == (0, 1)
    with sessions() as session:
        stored = runs.find_run(session, run_id).report
        assert stored is not None
        # Programs read the matrix from JSON, with every pair.
        assert set(stored["matrix"]) == set(Severity)
        assert stored["matrix"]["low"] == {
            "severe": 1,
            "unscored": 0,
            "indeterminate": 0,
            "low": 0,
        }
        assert stored["transitions"] == [{"before": "low", "after": "severe", "cases": 1}]

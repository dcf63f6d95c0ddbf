"""A report is written after the end of its run, and keeps nothing else from its work."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import sleep
from uuid import UUID

import pytest
from sqlalchemy import text, update
from tests import factories
from tests.committed_runs import (
    SECOND,
    THIRD,
    TUESDAY,
    Sessions,
    activate,
    add_scored_case,
    finish_and_report,
    lease_chunk,
    plan_run,
    score_all_chunks,
)
from tests.factories import LOW, SEVERE
from tests.runs import list_remaining_images

from dermtriage.core.enums import RunState, Scoring
from dermtriage.core.settings import Settings
from dermtriage.models import RescoreRun
from dermtriage.rescoring import lifecycle, recording, runs
from dermtriage.rescoring.recording import RecordedBatch
from dermtriage.rescoring.reports.writing import write_report
from dermtriage_worker.upkeep.duties import Duties


@pytest.fixture
def upkeep(settings: Settings) -> Duties:
    return Duties(settings)


def state(sessions: Sessions, run_id: UUID) -> tuple[RunState, bool]:
    """Return the state of a run, and whether it has its report."""
    with sessions() as session:
        run = runs.find_run(session, run_id)
        return run.state, run.report is not None


@contextmanager
def reports_blocked(sessions: Sessions) -> Iterator[None]:
    """Lock a table that only reports read here: one that is being written waits for the end."""
    with sessions.begin() as session:
        session.execute(text("LOCK TABLE rescore_failures IN ACCESS EXCLUSIVE MODE"))
        yield


def test_a_report_that_fails_keeps_no_other_from_being_written_and_is_tried_again(
    sessions: Sessions, clinic_id: UUID, upkeep: Duties, caplog: pytest.LogCaptureFixture
) -> None:
    add_scored_case(sessions, clinic_id, LOW)
    broken, whole = plan_run(sessions, SECOND), plan_run(sessions, THIRD)
    score_all_chunks(sessions, LOW)

    def set_scope(scope: dict[str, str]) -> None:
        with sessions.begin() as session:
            session.execute(update(RescoreRun).where(RescoreRun.id == broken).values(scope=scope))

    set_scope({"kind": "unknown"})
    upkeep.end_runs()
    assert state(sessions, broken) == (RunState.FINISHED, False)
    assert state(sessions, whole) == (RunState.FINISHED, True)
    assert "report could not be written" in caplog.text
    set_scope({"kind": "open"})
    upkeep.end_runs()
    assert state(sessions, broken) == (RunState.FINISHED, True)


def test_a_report_whose_connection_is_lost_is_tried_again(
    sessions: Sessions, clinic_id: UUID, upkeep: Duties, caplog: pytest.LogCaptureFixture
) -> None:
    add_scored_case(sessions, clinic_id, LOW)
    planned = [plan_run(sessions, SECOND), plan_run(sessions, THIRD)]
    score_all_chunks(sessions, LOW)
    with ThreadPoolExecutor(1) as pool:
        with reports_blocked(sessions):
            ending = pool.submit(upkeep.end_runs)
            factories.wait_until_blocked(sessions)
            with sessions() as session:
                session.execute(
                    text(
                        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                    )
                )
        ending.result(20)
    assert "report could not be written" in caplog.text
    assert sorted(state(sessions, run_id)[1] for run_id in planned) == [False, True]
    upkeep.end_runs()
    assert [state(sessions, run_id)[1] for run_id in planned] == [True, True]


def test_recovery_waits_for_no_report(sessions: Sessions, clinic_id: UUID, upkeep: Duties) -> None:
    add_scored_case(sessions, clinic_id, LOW)
    run_id = plan_run(sessions, SECOND)
    score_all_chunks(sessions, LOW)
    with sessions.begin() as session:
        (lost,) = factories.receive(session, clinic_id).pending_image_ids
        factories.exhaust(session, lost)
    upkeep.recover()
    with sessions() as session:
        assert factories.image(session, lost).scoring is Scoring.FAILED
    assert state(sessions, run_id) == (RunState.RUNNING, False)


def test_workers_wait_for_no_report_and_no_second_one_is_written_meanwhile(
    sessions: Sessions, clinic_id: UUID, upkeep: Duties
) -> None:
    add_scored_case(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    run_id = plan_run(sessions, SECOND)
    chunk = lease_chunk(sessions)
    assert chunk is not None
    with sessions.begin() as session:
        work = list_remaining_images(session, chunk)
    with sessions.begin() as session:
        lifecycle.cancel(session, run_id, reason="cancelled by the test", now=TUESDAY)
    with ThreadPoolExecutor(1) as pool:
        with reports_blocked(sessions):
            ending = pool.submit(upkeep.end_runs)
            factories.wait_until_blocked(sessions)
            with sessions.begin() as session:
                # A statement that waits fails, so that the test does not hang.
                session.execute(text("SET LOCAL lock_timeout = '2s'"))
                late = [factories.result(one.lease, SEVERE) for one in work]
                written = recording.record(
                    session, chunk, late, [], device="cpu", now=TUESDAY, recall_share=1.0
                )
                assert written == RecordedBatch()
                assert not lifecycle.fail(session, run_id, reason="late", now=TUESDAY)
            # It returns at once, although the report is still missing.
            upkeep.end_runs()
            assert state(sessions, run_id) == (RunState.CANCELLED, False)
        ending.result(20)
    assert state(sessions, run_id) == (RunState.CANCELLED, True)
    assert finish_and_report(sessions, run_id).scored == 0


def test_an_active_run_gets_no_report(sessions: Sessions, clinic_id: UUID) -> None:
    add_scored_case(sessions, clinic_id, LOW)
    run_id = plan_run(sessions, SECOND)
    with sessions.begin() as session:
        write_report(session, run_id)
    assert state(sessions, run_id) == (RunState.PLANNED, False)


def test_a_report_may_take_longer_than_other_statements(
    sessions: Sessions, clinic_id: UUID
) -> None:
    add_scored_case(sessions, clinic_id, LOW)
    run_id = plan_run(sessions, SECOND)
    score_all_chunks(sessions, LOW)

    def write() -> None:
        with sessions.begin() as session:
            session.execute(text("SET LOCAL statement_timeout = '1s'"))
            assert lifecycle.finish_completed(session, now=TUESDAY) == [run_id]
            write_report(session, run_id)

    with ThreadPoolExecutor(1) as pool:
        with reports_blocked(sessions):
            writing = pool.submit(write)
            factories.wait_until_blocked(sessions)
            sleep(1.2)
        writing.result(20)
    assert state(sessions, run_id) == (RunState.FINISHED, True)
    with sessions() as session:
        assert session.scalar(text("SHOW statement_timeout")) == "1min"

"""What a run's report says is true, and writing it keeps nothing else from its work."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests import runs as runs_of_tests
from tests.conftest import RELEASE
from tests.factories import INDETERMINATE, LOW, MONDAY, SEVERE
from tests.runs import know, left, say

from dermtriage.core.clock import utcnow
from dermtriage.core.enums import RunState, Scoring, Severity
from dermtriage.core.settings import Settings
from dermtriage.messaging.celery_app import make_celery
from dermtriage.models import Image, RescoreChunk, RescoreRun, TriageEvent
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import chunks, recording, reports, runs
from dermtriage.rescoring.chunks import Chunk
from dermtriage.rescoring.recording import Changes
from dermtriage.rescoring.reports import RunReport, figures
from dermtriage.rescoring.scope import OPEN, Scope
from dermtriage.scoring.recording import insert_assessments, record_failure
from dermtriage_worker.upkeep.tasks import UpkeepTasks

Sessions = sessionmaker[Session]

TUESDAY = MONDAY + timedelta(days=1)
SECOND, THIRD, FOURTH = "second", "third", "fourth"

Score = float | Callable[[UUID], float]
"""Of every image, or by its case."""


# As in tests.runs, but each step is a transaction of its own: reports ask when what was written.


def activate(sessions: Sessions, name: str) -> None:
    with sessions.begin() as session:
        runs_of_tests.activate(session, name)


def scored(sessions: Sessions, clinic_id: UUID, *scores: float) -> UUID:
    with sessions.begin() as session:
        return runs_of_tests.scored(session, clinic_id, *scores)


def plan(sessions: Sessions, name: str, scope: Scope = OPEN, size: int = 512) -> UUID:
    with sessions.begin() as session:
        know(session, name)
        return runs_of_tests.plan(session, scope, size, name).id


def take(sessions: Sessions) -> Chunk | None:
    with sessions.begin() as session:
        return chunks.acquire(session, worker_id=uuid4(), lease_seconds=60)


def score_next(sessions: Sessions, chunk: Chunk, score: Score, **asked: Any) -> int:
    """Score what comes next in a chunk, and return how many that were."""
    with sessions.begin() as session:
        return say(session, chunk, score, **asked).images


def work_off(sessions: Sessions, score: Score, broken: Collection[UUID] = ()) -> int:
    done = 0
    while (chunk := take(sessions)) is not None:
        done += score_next(sessions, chunk, score, broken=broken)
        with sessions.begin() as session:
            chunks.close(session, chunk)
    return done


def report_of(sessions: Sessions, run_id: UUID) -> RunReport:
    with sessions.begin() as session:
        return runs_of_tests.report_of(session, run_id)


def images_of(sessions: Sessions, case_ids: Sequence[UUID]) -> list[UUID]:
    with sessions() as session:
        return list(session.scalars(select(Image.id).where(Image.case_id.in_(case_ids))))


def compared(report: RunReport) -> dict[str, int]:
    return {one.release: one.photographs for one in report.drift.compared}


# Nothing waits for a report


@pytest.fixture
def upkeep(settings: Settings) -> UpkeepTasks:
    return UpkeepTasks(settings, make_celery(settings))


def state(sessions: Sessions, run_id: UUID) -> tuple[RunState, bool]:
    """Return the state of a run, and whether it has its report."""
    with sessions() as session:
        run = runs.find_run(session, run_id)
        return run.state, run.report is not None


@pytest.mark.parametrize(
    "error", [RuntimeError("a defect"), OperationalError("SELECT", {}, Exception("timeout"))]
)
def test_a_report_that_fails_keeps_upkeep_from_nothing_and_is_tried_again(
    sessions: Sessions,
    clinic_id: UUID,
    upkeep: UpkeepTasks,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    scored(sessions, clinic_id, LOW)
    broken, whole = plan(sessions, SECOND), plan(sessions, THIRD)
    work_off(sessions, LOW)
    real = figures.drift

    def drift(session: Session, run: RescoreRun) -> object:
        if run.id == broken:
            raise error
        return real(session, run)

    monkeypatch.setattr(figures, "drift", drift)
    upkeep.end_runs()
    assert state(sessions, broken) == (RunState.FINISHED, False)
    assert state(sessions, whole) == (RunState.FINISHED, True)
    assert "report could not be written" in caplog.text
    monkeypatch.undo()
    upkeep.end_runs()
    assert state(sessions, broken) == (RunState.FINISHED, True)


def test_recovery_waits_for_no_report(
    sessions: Sessions,
    settings: Settings,
    clinic_id: UUID,
    upkeep: UpkeepTasks,
) -> None:
    scored(sessions, clinic_id, LOW)
    run_id = plan(sessions, SECOND)
    work_off(sessions, LOW)
    with sessions.begin() as session:
        (lost,) = factories.receive(session, clinic_id).pending_image_ids
        for _ in range(settings.max_attempts):
            factories.lease(session, lost, lease_seconds=-1)
    upkeep.recover()
    with sessions() as session:
        assert factories.image(session, lost).scoring is Scoring.FAILED
    assert state(sessions, run_id) == (RunState.RUNNING, False)


def test_workers_wait_for_no_report_and_nobody_writes_a_second_one(
    sessions: Sessions, clinic_id: UUID, upkeep: UpkeepTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    run_id = plan(sessions, SECOND)
    chunk = take(sessions)
    assert chunk is not None
    with sessions.begin() as session:
        work = left(session, chunk)
    with sessions.begin() as session:
        reports.cancel(session, run_id, reason="asked for", now=TUESDAY)
    begun, go_on = Event(), Event()
    real = figures.drift

    def slow(session: Session, run: RescoreRun) -> object:
        begun.set()
        assert go_on.wait(20)
        return real(session, run)

    monkeypatch.setattr(figures, "drift", slow)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(upkeep.end_runs)
        try:
            assert begun.wait(20)
            with sessions.begin() as session:
                # What waits fails, rather than the test never.
                session.execute(text("SET LOCAL lock_timeout = '2s'"))
                late = [factories.result(one.lease, SEVERE) for one in work]
                written = recording.record(
                    session, chunk, late, [], device="cpu", now=TUESDAY, recall_share=1.0
                )
                assert written == Changes()
                assert reports.fail(session, run_id, reason="late", now=TUESDAY) is None
            begun.clear()
            upkeep.end_runs()
            assert not begun.is_set()
            assert state(sessions, run_id) == (RunState.CANCELLED, False)
        finally:
            go_on.set()
        writing.result(20)
    assert state(sessions, run_id) == (RunState.CANCELLED, True)
    assert report_of(sessions, run_id).scored == 0


def test_a_run_that_goes_on_gets_no_report(sessions: Sessions, clinic_id: UUID) -> None:
    scored(sessions, clinic_id, LOW)
    run_id = plan(sessions, SECOND)
    with sessions.begin() as session:
        reports.write_report(session, run_id)
    assert state(sessions, run_id) == (RunState.PLANNED, False)


def test_what_is_written_after_a_run_s_end_is_not_its_work(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(2):
        scored(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    cancelled = plan(sessions, SECOND)
    chunk = take(sessions)
    assert chunk is not None
    assert score_next(sessions, chunk, SEVERE, limit=1) == 1
    with sessions.begin() as session:
        reports.cancel(session, cancelled, reason="asked for", now=utcnow())
    plan(sessions, SECOND)
    assert work_off(sessions, LOW) == 1
    report = report_of(sessions, cancelled)
    assert (report.scored, report.drift.photographs) == (1, 1)
    assert report.drift.mean == pytest.approx(0.8, abs=1e-6)


def test_a_report_may_take_longer_than_other_statements(
    sessions: Sessions, clinic_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(sessions, clinic_id, LOW)
    run_id = plan(sessions, SECOND)
    work_off(sessions, LOW)
    real = figures.drift

    def slow(session: Session, run: RescoreRun) -> object:
        session.execute(text("SELECT pg_sleep(0.6)"))
        return real(session, run)

    monkeypatch.setattr(figures, "drift", slow)
    with sessions.begin() as session:
        session.execute(text("SET LOCAL statement_timeout = '500ms'"))
        assert reports.finish_done(session, now=TUESDAY) == [run_id]
        reports.write_report(session, run_id)
    assert state(sessions, run_id) == (RunState.FINISHED, True)
    with sessions() as session:
        assert session.scalar(text("SHOW statement_timeout")) == "1min"


# What a run did to cases


def test_an_unscored_case_that_becomes_severe_has_been_upgraded(
    sessions: Sessions, clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, images=2)
        first, second = receipt.pending_image_ids
        factories.score(session, first, LOW)
        assert record_failure(
            session, factories.lease(session, second), error="It is broken.", now=MONDAY
        )
        assert factories.case(session, receipt).severity is Severity.UNSCORED
    activate(sessions, SECOND)
    run_id = plan(sessions, SECOND)
    assert work_off(sessions, SEVERE) == 1
    report = report_of(sessions, run_id)
    assert (report.upgrades, report.recalls) == (1, 0)
    assert report.matrix["unscored"]["severe"] == 1


def test_a_case_that_rises_twice_is_one_case(sessions: Sessions, clinic_id: UUID) -> None:
    case_id = scored(sessions, clinic_id, LOW, LOW)
    activate(sessions, SECOND)
    run_id = plan(sessions, SECOND)
    chunk = take(sessions)
    assert chunk is not None
    for score in (INDETERMINATE, SEVERE):
        assert score_next(sessions, chunk, score, limit=1) == 1
    with sessions.begin() as session:
        chunks.close(session, chunk)
        events = session.scalars(select(TriageEvent).where(TriageEvent.run_id == run_id)).all()
        assert [event.case_id for event in events] == [case_id] * 2
    report = report_of(sessions, run_id)
    assert report.upgrades == 1
    assert [(one.before, one.after, one.cases) for one in report.transitions] == [
        ("low", "severe", 1)
    ]


def test_recalls_are_no_upgrades_and_the_matrix_holds_both(
    sessions: Sessions, clinic_id: UUID, clinician_id: UUID
) -> None:
    decided = scored(sessions, clinic_id, LOW)
    scored(sessions, clinic_id, INDETERMINATE)
    with sessions.begin() as session:
        factories.decide(session, decided, clinician_id)
    activate(sessions, SECOND)
    run_id = plan(sessions, SECOND, Scope(kind="all"))
    work_off(sessions, lambda case_id: SEVERE if case_id == decided else LOW)
    report = report_of(sessions, run_id)
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


# How far scores moved


def test_what_a_shadow_had_said_is_compared_when_it_triages(
    sessions: Sessions, clinic_id: UUID
) -> None:
    cases = [scored(sessions, clinic_id, LOW) for _ in range(3)]
    early, *_ = images_of(sessions, cases)
    with sessions.begin() as session:
        release = know(session, SECOND)
        # As a shadow beside an upload would be written: one is known, two are not.
        lease = factories.result(chunks.Lease(early, cases[0], 0, 1, {}), SEVERE)
        insert_assessments(session, [lease], release_id=release.id, device="cpu")
    activate(sessions, SECOND)
    run_id = plan(sessions, SECOND)
    assert work_off(sessions, 0.3) == 3
    report = report_of(sessions, run_id)
    assert compared(report) == {RELEASE: 3}
    assert report.drift.mean == pytest.approx((0.8 + 0.2 + 0.2) / 3, abs=1e-6)
    assert sum(report.drift.histogram) == 3


def test_a_comparison_and_the_run_that_triages_later_both_have_their_drift(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(4):
        scored(sessions, clinic_id, LOW)
    comparison = plan(sessions, SECOND)
    work_off(sessions, 0.6)
    report = report_of(sessions, comparison)
    assert (report.triaged, compared(report)) == (False, {RELEASE: 4})
    activate(sessions, SECOND)
    triaging = plan(sessions, SECOND)
    assert work_off(sessions, LOW) == 4
    report = report_of(sessions, triaging)
    assert (report.triaged, report.scored, compared(report)) == (True, 4, {RELEASE: 4})
    assert report.drift.mean == pytest.approx(0.5, abs=1e-6)


def test_a_release_that_was_replaced_before_its_night_is_not_what_counted(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(4):
        scored(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    scored(sessions, clinic_id, INDETERMINATE)
    activate(sessions, THIRD)
    run_id = plan(sessions, THIRD)
    assert work_off(sessions, SEVERE) == 5
    report = report_of(sessions, run_id)
    assert compared(report) == {RELEASE: 4, SECOND: 1}
    assert report.drift.mean == pytest.approx((4 * 0.8 + 0.5) / 5, abs=1e-6)


def test_a_comparison_is_with_what_triages_each_photograph(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(3):
        scored(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    plan(sessions, SECOND)
    work_off(sessions, SEVERE)
    activate(sessions, RELEASE)
    # The first release is active again, but it triages nothing of this until its night.
    before = plan(sessions, THIRD)
    work_off(sessions, LOW)
    assert compared(report_of(sessions, before)) == {SECOND: 3}
    back = plan(sessions, RELEASE)
    work_off(sessions, SEVERE)
    assert compared(report_of(sessions, back)) == {SECOND: 3}
    after = plan(sessions, FOURTH)
    work_off(sessions, INDETERMINATE)
    report = report_of(sessions, after)
    assert compared(report) == {RELEASE: 3}
    assert report.drift.mean == pytest.approx(0.3, abs=1e-6)


def test_two_runs_at_a_time_are_not_mixed(sessions: Sessions, clinic_id: UUID) -> None:
    with sessions.begin() as session:
        other = factories.clinic(session, "Elsewhere")
    for number in range(6):
        scored(sessions, other if number % 2 else clinic_id, LOW)
    activate(sessions, SECOND)
    here = plan(sessions, SECOND, Scope(kind="clinic", clinic_id=clinic_id))
    there = plan(sessions, SECOND, Scope(kind="clinic", clinic_id=other))
    one, two = take(sessions), take(sessions)
    assert one is not None
    assert two is not None
    for chunk, score in ((one, SEVERE), (two, INDETERMINATE)) * 3:
        assert score_next(sessions, chunk, score, limit=1) == 1
    with sessions.begin() as session:
        for chunk in (one, two):
            chunks.close(session, chunk)
    for run_id, change in ((here, 0.8), (there, 0.3)):
        drift = report_of(sessions, run_id).drift
        assert (drift.photographs, drift.mean) == (3, pytest.approx(change, abs=1e-6))


def test_a_run_that_makes_up_for_one_photograph_has_its_drift_alone(
    sessions: Sessions, clinic_id: UUID
) -> None:
    cases = [scored(sessions, clinic_id, LOW) for _ in range(5)]
    first, *_, last = images = images_of(sessions, cases)
    comparison = plan(sessions, SECOND)
    work_off(sessions, 0.6, broken=[first, last])
    activate(sessions, SECOND)
    night = plan(sessions, SECOND)
    work_off(sessions, 0.6, broken=[first, last])
    again = plan(sessions, SECOND)
    assert work_off(sessions, SEVERE) == 2
    assert report_of(sessions, comparison).drift.photographs == len(images) - 2
    assert report_of(sessions, night).drift.photographs == len(images) - 2
    # Its one chunk reaches over all photographs, of which it scored two.
    report = report_of(sessions, again)
    assert (report.scored, report.drift.photographs) == (2, 2)
    assert report.drift.mean == pytest.approx(0.8, abs=1e-6)


def test_what_cannot_be_told_apart_is_left_out(sessions: Sessions, clinic_id: UUID) -> None:
    for _ in range(4):
        scored(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    runs_of_all = [plan(sessions, SECOND, Scope(kind="all")) for _ in range(2)]
    taken = [take(sessions), take(sessions)]
    for chunk in taken:
        assert chunk is not None
        assert score_next(sessions, chunk, SEVERE, limit=2) == 2
    with sessions.begin() as session:
        for chunk in taken:
            assert chunk is not None
            chunks.close(session, chunk)
    for run_id in runs_of_all:
        report = report_of(sessions, run_id)
        assert (report.scored, report.drift.photographs) == (2, 0)
        assert report.drift.mean is None


def test_a_decision_meanwhile_hides_no_drift(
    sessions: Sessions, clinic_id: UUID, clinician_id: UUID
) -> None:
    case_id = scored(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    run_id = plan(sessions, SECOND)
    work_off(sessions, SEVERE)
    with sessions.begin() as session:
        factories.decide(session, case_id, clinician_id)
    assert report_of(sessions, run_id).drift.photographs == 1


# How fast a run was


def test_waiting_is_no_work(sessions: Sessions, clinic_id: UUID) -> None:
    cases = [scored(sessions, clinic_id, LOW) for _ in range(4)]
    activate(sessions, SECOND)
    run_id = plan(sessions, SECOND, size=2)
    work_off(sessions, LOW)
    # A minute for each photograph, and eight hours for someone to confirm in between.
    hours = timedelta(hours=8)
    written = [timedelta(minutes=1), timedelta(minutes=2)]
    written += [hours + timedelta(minutes=2 + minute) for minute in (1, 2)]
    with sessions.begin() as session:
        release_id = active_release(session).id
        session.execute(update(RescoreRun).values(started_at=MONDAY))
        for image_id, after in zip(images_of(sessions, cases), written, strict=True):
            session.execute(
                text(
                    "UPDATE assessments SET created_at = :at"
                    " WHERE image_id = :image AND release_id = :release"
                ),
                {"at": MONDAY + after, "image": image_id, "release": release_id},
            )
        for number, after in enumerate((written[1], written[3])):
            session.execute(
                update(RescoreChunk)
                .where(RescoreChunk.number == number)
                .values(done_at=MONDAY + after)
            )
        (ended,) = reports.finish_done(session, now=MONDAY + hours + timedelta(minutes=5))
        assert ended == run_id
    report = report_of(sessions, run_id)
    assert report.seconds == (hours + timedelta(minutes=5)).total_seconds()
    # The first photograph after the wait cannot be told from the wait.
    assert report.working_seconds == 180
    assert report.images_per_second == pytest.approx(4 / 180)


def test_a_run_that_did_nothing_has_no_speed(sessions: Sessions, clinic_id: UUID) -> None:
    scored(sessions, clinic_id, LOW)
    run_id = plan(sessions, RELEASE)
    report = report_of(sessions, run_id)
    assert (report.scored, report.working_seconds, report.images_per_second) == (0, 0, None)
    assert (report.drift.photographs, report.drift.compared) == (0, [])

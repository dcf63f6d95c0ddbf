"""A run that is paused or has ended stays so, whatever its workers have on their way."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from time import monotonic, sleep
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE
from tests.factories import LOW, MONDAY, SEVERE
from tests.runs import activate, know, left, plan, report_of, say, scored, take

from dermtriage.cases import ageing
from dermtriage.core.enums import CaseState, RunState, Severity
from dermtriage.core.errors import Conflict, RequestRejected
from dermtriage.core.settings import Settings
from dermtriage.models import MAX_REASON, Assessment, Case, RescoreFailure, RescoreRun, TriageEvent
from dermtriage.rescoring import chunks, planning, recording, reports, runs
from dermtriage.rescoring.recording import Changes
from dermtriage.rescoring.scope import Scope


def record(session: Session, chunk: chunks.Chunk, work: list[chunks.Work]) -> Changes:
    """Write that the release finds all of it severe."""
    return recording.record(
        session,
        chunk,
        [factories.result(one.lease, SEVERE) for one in work],
        [],
        device="cpu",
        now=MONDAY + timedelta(days=1),
        recall_share=0.02,
    )


def get(session: Session, case_id: UUID) -> Case:
    return session.get_one(Case, case_id, populate_existing=True)


def once_blocked(sessions: sessionmaker[Session], call: Callable[[], object]) -> Future[object]:
    """Start a call in a thread, and return once it waits for a lock."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(call)
    pool.shutdown(wait=False)
    until = monotonic() + 20
    while True:
        # A transaction sees what others wait for as it was at its first look.
        with sessions() as session:
            if factories.blocked(session):
                return future
        assert monotonic() < until, "it did not wait"
        sleep(0.01)


def doubted(session: Session, clinic_id: UUID, clinician_id: UUID) -> tuple[RescoreRun, UUID]:
    """Return a run that its recalls have stopped, and a case that it has still to look at."""
    *_, last = [scored(session, clinic_id, LOW) for _ in range(13)]
    for case_id in session.scalars(select(Case.id)):
        factories.decide(session, case_id, clinician_id)
    activate(session)
    run = plan(session, Scope(kind="all"), size=12)
    chunk = take(session)
    assert len(say(session, chunk, SEVERE, share=0.02).recalled) == 12
    chunks.close(session, chunk)
    session.flush()
    session.refresh(run)
    assert run.state is RunState.PAUSED
    return run, last


def test_a_cancelled_run_writes_nothing_more(session: Session, clinic_id: UUID) -> None:
    case_id = scored(session, clinic_id, LOW)
    activate(session)
    run = plan(session)
    chunk = take(session)
    work = left(session, chunk)
    reports.cancel(session, run.id, reason="asked for", now=MONDAY)
    assert record(session, chunk, work) == Changes()
    chunks.exclude_image(session, chunk, work[0].lease.image_id, reason="It cannot be decoded.")
    assert get(session, case_id).severity is Severity.LOW
    assert session.scalars(select(RescoreFailure)).all() == []
    said = (
        select(func.count()).select_from(Assessment).where(Assessment.release_id == run.release_id)
    )
    assert session.scalar(said) == 0
    report = report_of(session, run.id)
    assert (report.scored, report.upgrades, report.failed) == (0, 0, 0)


def test_what_is_being_written_when_a_run_is_cancelled_is_in_its_report(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        scored(session, clinic_id, LOW)
        activate(session)
        run_id = plan(session).id
        chunk = take(session)

    def cancel() -> object:
        with sessions.begin() as other:
            reports.cancel(other, run_id, reason="asked", now=MONDAY)
            return report_of(other, run_id).scored

    with sessions.begin() as session:
        assert say(session, chunk, LOW).images == 1
        future = once_blocked(sessions, cancel)
    assert future.result(20) == 1


@pytest.mark.parametrize("reason", ["", " ", "x" * (MAX_REASON + 1)])
def test_a_reason_that_cannot_be_kept_is_refused(
    session: Session, clinic_id: UUID, reason: str
) -> None:
    scored(session, clinic_id, LOW)
    know(session)
    run = plan(session)
    with pytest.raises(RequestRejected, match="1 to 500 characters"):
        runs.pause(session, run.id, reason=reason)
    with pytest.raises(RequestRejected, match="1 to 500 characters"):
        reports.cancel(session, run.id, reason=reason, now=MONDAY)
    assert run.state is RunState.PLANNED


def test_a_run_fails_however_long_the_reason_is(session: Session, clinic_id: UUID) -> None:
    scored(session, clinic_id, LOW)
    know(session)
    run = plan(session)
    reports.fail(session, run.id, reason="x" * (MAX_REASON + 1), now=MONDAY)
    session.flush()
    assert run.reason == "x" * MAX_REASON


def test_what_is_on_its_way_when_a_run_is_paused_is_written(
    session: Session, clinic_id: UUID
) -> None:
    case_id = scored(session, clinic_id, LOW)
    activate(session)
    run = plan(session)
    chunk = take(session)
    work = left(session, chunk)
    runs.pause(session, run.id, reason="maintenance")
    assert record(session, chunk, work).images == 1
    assert get(session, case_id).severity is Severity.SEVERE


def test_a_run_that_its_recalls_stopped_recalls_no_more_until_it_is_confirmed(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    cases = [scored(session, clinic_id, LOW) for _ in range(14)]
    for case_id in cases:
        factories.decide(session, case_id, clinician_id)
    activate(session)
    run = plan(session, Scope(kind="all"), size=12)
    first, second = take(session), take(session)
    on_its_way = left(session, second)
    # After a death: one at a time, and noted before.
    suspected = on_its_way[0].lease.image_id
    assert chunks.mark_suspect(session, second, suspected)
    assert len(say(session, first, SEVERE, share=0.02).recalled) == 12
    chunks.close(session, first)
    assert record(session, second, on_its_way) == Changes()
    states = [get(session, one.lease.case_id).state for one in on_its_way]
    assert states == [CaseState.DECIDED] * 2
    assert runs.find_run(session, run.id).recalls == 12
    # It came back from the device, and is not to blame.
    assert session.scalars(select(RescoreFailure)).all() == []
    assert chunks.remaining(session, second, 10) is None
    chunks.release(session, second)
    runs.resume(session, run.id)
    again = take(session)
    assert [one.lease.image_id for one in left(session, again)] == [
        one.lease.image_id for one in on_its_way
    ]
    assert len(record(session, again, left(session, again)).recalled) == 2


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("after", [RunState.PAUSED, RunState.CANCELLED])
def test_a_worker_that_looks_for_a_chunk_undoes_no_pause(
    sessions: sessionmaker[Session], clinic_id: UUID, after: RunState, started: bool
) -> None:
    with sessions.begin() as session:
        scored(session, clinic_id, LOW)
        activate(session)
        run_id = plan(session).id
        if started:
            chunks.release(session, take(session))

    def look() -> object:
        with sessions.begin() as other:
            return chunks.acquire(other, worker_id=uuid4(), lease_seconds=60)

    with sessions.begin() as session:
        if after is RunState.PAUSED:
            runs.pause(session, run_id, reason="asked for")
        else:
            reports.cancel(session, run_id, reason="asked for", now=MONDAY)
        session.flush()
        future = once_blocked(sessions, look)
    assert future.result(20) is None
    with sessions() as session:
        run = runs.find_run(session, run_id)
        assert run.state is after
        assert (run.started_at is not None) is started


def test_workers_that_begin_a_run_together_get_a_chunk_each(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        for _ in range(4):
            scored(session, clinic_id, LOW)
        activate(session)
        run_id = plan(session, size=1).id

    def look() -> int:
        with sessions.begin() as session:
            return take(session).number

    assert sorted(factories.together([look] * 4)) == [0, 1, 2, 3]
    with sessions() as session:
        assert runs.find_run(session, run_id).state is RunState.RUNNING


def test_no_other_run_goes_round_recalls_that_await_confirmation(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    run, left_out = doubted(session, clinic_id, clinician_id)
    with pytest.raises(Conflict, match="nobody has confirmed") as refused:
        plan(session, Scope(kind="all"))
    assert f"dermtriage rescore resume {run.id}" in refused.value.remedy
    # Another release has nothing to do with it.
    assert plan(session, name=RELEASE).state is RunState.PLANNED
    reports.cancel(session, run.id, reason="the release is broken", now=MONDAY)
    assert plan(session, Scope(kind="all")).images == 1
    assert get(session, left_out).state is CaseState.DECIDED


def test_a_night_waits_for_recalls_to_be_confirmed(
    session: Session, clinic_id: UUID, clinician_id: UUID, settings: Settings
) -> None:
    run, _ = doubted(session, clinic_id, clinician_id)
    session.execute(text("UPDATE release_activations SET created_at = '2026-01-01'"))
    now = datetime.fromisoformat("2026-03-04T11:07Z")
    assert planning.plan_night(session, settings, now=now) is None
    runs.resume(session, run.id)
    session.flush()
    night = planning.plan_night(session, settings, now=now + timedelta(minutes=1))
    assert night is not None
    assert str(night.night) == "2026-03-04"


def test_a_run_of_an_earlier_moment_does_not_undo_what_age_has_raised(
    session: Session, clinic_id: UUID
) -> None:
    case_id = scored(session, clinic_id, LOW)
    activate(session)
    run = plan(session)
    chunk = take(session)
    ages_at = get(session, case_id).ages_at
    assert ages_at is not None
    # The run's moment is the one before it waited for the case's lock.
    before = ages_at - timedelta(seconds=1)
    assert ageing.age_cases(session, now=ages_at) == 1
    assert get(session, case_id).lane == 2
    assert say(session, chunk, LOW, now=before).risen == []
    assert get(session, case_id).lane == 2
    events = session.scalars(select(TriageEvent).where(TriageEvent.run_id == run.id)).all()
    assert events == []
    # It goes on ageing as if nothing had been.
    ageing.age_cases(session, now=ages_at + timedelta(days=7))
    assert get(session, case_id).lane == 1


def test_the_first_real_score_still_takes_a_case_out_of_the_unscored_lane(
    session: Session, clinic_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    assert get(session, receipt.case_id).lane == 1
    factories.score(session, receipt.pending_image_ids[0], LOW)
    assert get(session, receipt.case_id).lane == 3

"""Rescore runs: nothing is done twice or left out, severity only rises, a run can be stopped."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE
from tests.factories import LOW, MONDAY, SEVERE, photograph
from tests.runs import (
    activate,
    begin,
    know,
    left,
    plan,
    report_of,
    say,
    scored,
    sent_and_scored,
    take,
    work_off,
)

from dermtriage.core.enums import CaseState, Outcome, Priority, RunState, Severity
from dermtriage.core.errors import Conflict, NotFound
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_sessions
from dermtriage.messaging.tasks import RESCORE, UPKEEP
from dermtriage.models import (
    Assessment,
    Case,
    Image,
    PolicyVersion,
    RescoreChunk,
    RescoreFailure,
    RescoreRun,
    TriageEvent,
)
from dermtriage.operations import invariants
from dermtriage.releases.queries import active_release, find_release
from dermtriage.rescoring import chunks, planning, recording, reports, runs
from dermtriage.rescoring.recording import Changes
from dermtriage.rescoring.reports import RunReport
from dermtriage.rescoring.scope import OPEN, Scope
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.scoring import bulk_loop as bulk
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.celery_app import make_app as make_worker
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.upkeep.celery_app import make_app as make_upkeep


def get(session: Session, case_id: UUID) -> Case:
    return session.get_one(Case, case_id, populate_existing=True)


def of_run(session: Session, run: RescoreRun) -> Sequence[TriageEvent]:
    return session.scalars(select(TriageEvent).where(TriageEvent.run_id == run.id)).all()


# Planning


def test_a_run_is_cut_into_chunks_that_cover_its_images_once(
    session: Session, clinic_id: UUID
) -> None:
    cases = [scored(session, clinic_id, LOW, LOW) for _ in range(4)]
    activate(session)
    run = plan(session, size=3)
    rows = session.scalars(select(RescoreChunk).order_by(RescoreChunk.number)).all()
    assert [row.images for row in rows] == [3, 3, 2]
    assert run.images == 8
    images = session.scalars(select(Image.id).where(Image.case_id.in_(cases))).all()
    for image_id in images:
        within = [row for row in rows if row.first_image_id <= image_id <= row.last_image_id]
        assert len(within) == 1


def test_what_the_release_has_scored_is_not_in_a_run(session: Session, clinic_id: UUID) -> None:
    scored(session, clinic_id, LOW)
    assert plan(session, name=RELEASE).images == 0


def test_scopes(session: Session, clinic_id: UUID, clinician_id: UUID) -> None:
    other = factories.clinic(session, "Elsewhere")
    standing = scored(session, clinic_id, LOW)
    late = scored(session, other, LOW, now=MONDAY + timedelta(days=3))
    decided = scored(session, clinic_id, LOW)
    factories.decide(session, decided, clinician_id)
    retake = scored(session, clinic_id, LOW)
    factories.decide(session, retake, clinician_id, Outcome.RETAKE)
    withdrawn = scored(session, clinic_id, LOW)
    session.execute(update(Case).where(Case.id == withdrawn).values(state=CaseState.WITHDRAWN))
    factories.receive(session, clinic_id)  # waits for its first score
    release = activate(session)

    def cases(scope: Scope) -> set[UUID]:
        run = plan(session, scope)
        chunk = take(session) if run.images else None
        found = {one.lease.case_id for one in left(session, chunk)} if chunk else set()
        assert planning.count_images(session, release_id=release.id, scope=scope) == len(found)
        reports.cancel(session, run.id, reason="tests", now=MONDAY)
        return found

    assert cases(OPEN) == {standing, late, retake}
    assert cases(Scope(kind="all")) == {standing, late, retake, decided}
    assert cases(Scope(kind="since", since=MONDAY + timedelta(days=2))) == {late}
    assert cases(Scope(kind="clinic", clinic_id=clinic_id)) == {standing, retake, decided}


def test_a_night_is_planned_once_and_made_up_when_it_was_missed(
    sessions: sessionmaker[Session], clinic_id: UUID, settings: Settings
) -> None:
    with sessions.begin() as session:
        scored(session, clinic_id, LOW)
        activate(session)
        session.execute(text("UPDATE release_activations SET created_at = '2026-01-01'"))
    late_in_the_morning = datetime(2026, 3, 4, 11, 7, tzinfo=ZoneInfo("UTC"))

    def look() -> UUID | None:
        with sessions.begin() as session:
            run = planning.plan_night(session, settings, now=late_in_the_morning)
            return run.id if run else None

    planned = factories.together([look] * 4)
    assert len([one for one in planned if one]) == 1
    assert look() is None
    with sessions() as session:
        (run,) = session.scalars(select(RescoreRun))
        assert (run.night, run.images, run.actor) == (date(2026, 3, 4), 1, "beat")
    off = settings.model_copy(update={"rescore_at": ""})
    with sessions.begin() as session:
        tomorrow = late_in_the_morning + timedelta(days=1)
        assert planning.plan_night(session, off, now=tomorrow) is None
        assert planning.plan_night(session, settings, now=tomorrow) is not None


def test_a_new_database_has_missed_no_night(session: Session, settings: Settings) -> None:
    now = session.scalar(select(func.now()))
    assert now is not None
    assert planning.plan_night(session, settings, now=now) is None
    assert planning.plan_night(session, settings, now=now + timedelta(days=1)) is not None


def test_the_night_after_a_change_of_its_hour_is_not_left_out(
    session: Session, settings: Settings
) -> None:
    session.execute(text("UPDATE release_activations SET created_at = '2026-01-01'"))
    late = settings.model_copy(update={"rescore_at": "22:00"})

    def planned(settings: Settings, moment: str) -> bool:
        now = datetime.fromisoformat(f"{moment}Z")
        return planning.plan_night(session, settings, now=now) is not None

    assert planned(settings, "2026-03-04T01:00")
    assert not planned(late, "2026-03-04T15:00")
    assert planned(late, "2026-03-04T22:00")
    # Evening and morning are one night.
    assert not planned(settings, "2026-03-05T01:00")
    assert planned(settings, "2026-03-06T01:00")


# What a run does to cases


def test_worse_scores_rise_and_better_ones_change_nothing(
    session: Session, clinic_id: UUID
) -> None:
    worse, better = scored(session, clinic_id, LOW), scored(session, clinic_id, SEVERE)
    before = {case_id: get(session, case_id).changed_at for case_id in (worse, better)}
    old = active_release(session).id
    new = activate(session)
    run = plan(session)
    assert work_off(session, lambda case_id: SEVERE if case_id == worse else LOW) == 2
    risen, stayed = get(session, worse), get(session, better)
    assert (risen.severity, risen.lane, risen.state) == (Severity.SEVERE, 0, CaseState.OPEN)
    assert (stayed.severity, stayed.latest_severity) == (Severity.SEVERE, Severity.LOW)
    assert stayed.lane == 0
    # To the clinic of the case that stayed nothing has happened.
    assert stayed.changed_at == before[better]
    assert risen.changed_at > before[worse]
    (event,) = of_run(session, run)
    assert (event.case_id, event.kind, event.release_id) == (worse, "upgraded", new.id)
    (image_id,) = event.image_ids
    assert event.detail == {"previous_release_ids": {image_id: old}}
    for release_id in (old, new.id):
        assert session.get(Assessment, (release_id, UUID(image_id))) is not None


def test_a_decided_case_is_recalled_with_its_history(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    case_id = scored(session, clinic_id, LOW)
    factories.decide(session, case_id, clinician_id, Outcome.DISCHARGE_WITH_ADVICE)
    urgent = scored(session, clinic_id, LOW)
    factories.decide(session, urgent, clinician_id, Outcome.REFER_URGENT)
    activate(session)
    run = plan(session, Scope(kind="all"))
    work_off(session, SEVERE)
    recalled = get(session, case_id)
    assert (recalled.state, recalled.lane) == (CaseState.OPEN, 0)
    assert recalled.recalled_at is not None
    assert get(session, urgent).state is CaseState.DECIDED
    assert [event.kind for event in of_run(session, run)] == ["recalled"]
    assert (run.recalls, run.state) == (1, RunState.RUNNING)


def test_the_same_run_again_changes_nothing(session: Session, clinic_id: UUID) -> None:
    for score in (LOW, SEVERE):
        scored(session, clinic_id, score)
    activate(session)
    plan(session)
    work_off(session, SEVERE)
    again = plan(session)
    assert (again.images, work_off(session, SEVERE)) == (0, 0)
    assert report_of(session, again.id).scored == 0


def test_a_release_that_does_not_triage_only_says_its_scores(
    session: Session, clinic_id: UUID
) -> None:
    case_id = scored(session, clinic_id, LOW)
    know(session)
    run = plan(session)
    work_off(session, SEVERE)
    assert get(session, case_id).severity is Severity.LOW
    assert not of_run(session, run)
    report = report_of(session, run.id)
    assert (report.scored, report.triaged, report.upgrades) == (1, False, 0)
    assert report.drift.photographs == 1


def test_what_a_shadow_has_said_triages_without_being_scored_again(
    session: Session, clinic_id: UUID
) -> None:
    case_id = scored(session, clinic_id, LOW)
    know(session)
    plan(session)
    work_off(session, SEVERE)
    activate(session)
    run = plan(session)
    chunk = take(session)
    assert [one.assessed for one in left(session, chunk)] == [True]
    assert len(say(session, chunk, LOW).upgraded) == 1
    assert get(session, case_id).severity is Severity.SEVERE
    assert run.images == 1


SCORES = st.sampled_from([0.1, 0.4, 0.9])


@hypothesis.settings(max_examples=15, deadline=None)
@given(
    cases=st.lists(
        st.tuples(
            st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=3),
            st.sampled_from(list(Priority)),
            st.sampled_from([None, *Outcome]),
        ),
        min_size=1,
        max_size=5,
    ),
    size=st.integers(1, 4),
)
def test_a_run_moves_nothing_down_and_leaves_nothing_out(
    shared_engine: Engine, cases: Any, size: int
) -> None:
    with make_sessions(shared_engine)() as session:
        clinic_id, clinician_id = factories.clinic(session), factories.clinician(session)
        after: dict[UUID, float] = {}
        before: dict[UUID, tuple[CaseState, int, datetime]] = {}
        for images, priority, outcome in cases:
            case_id = scored(session, clinic_id, *(old for old, _ in images), priority=priority)
            if outcome is not None:
                factories.decide(session, case_id, clinician_id, outcome)
            ids = session.scalars(
                select(Image.id).where(Image.case_id == case_id).order_by(Image.position)
            )
            after |= dict(zip(ids, (new for _, new in images), strict=True))
            case = get(session, case_id)
            before[case_id] = (case.state, case.lane, case.due_at)
        new = activate(session)
        run = plan(session, Scope(kind="all"), size=size)
        while (chunk := chunks.acquire(session, worker_id=uuid4(), lease_seconds=60)) is not None:
            for one in left(session, chunk):
                results = [factories.result(one.lease, after[one.lease.image_id])]
                recording.record(
                    session, chunk, results, [], device="cpu", now=MONDAY, recall_share=1.0
                )
            chunks.close(session, chunk)
        report = report_of(session, run.id)
        assert report.scored == len(after)
        assert set(
            session.scalars(select(Assessment.image_id).where(Assessment.release_id == new.id))
        ) == set(after)
        for case_id, (state, lane, due_at) in before.items():
            case = get(session, case_id)
            if state is CaseState.OPEN:
                assert case.lane <= lane
                assert case.due_at <= due_at
            elif case.state is CaseState.OPEN:
                assert case.severity is Severity.SEVERE
        assert invariants.check_invariants(session) == {}
        session.rollback()


# Stopping and going on


def test_a_dead_worker_s_chunk_is_taken_up_where_it_stood(
    session: Session, clinic_id: UUID
) -> None:
    for _ in range(3):
        scored(session, clinic_id, LOW)
    activate(session)
    run = plan(session)
    dead = take(session)
    assert chunks.acquire(session, worker_id=uuid4(), lease_seconds=60) is None
    first, *rest = left(session, dead)
    recording.record(
        session,
        dead,
        [factories.result(first.lease, SEVERE)],
        [],
        device="cpu",
        now=MONDAY,
        recall_share=1.0,
    )
    session.execute(text("UPDATE rescore_chunks SET lease_expires_at = now()"))
    heir = take(session)
    assert (heir.number, heir.attempts) == (dead.number, 2)
    assert [one.lease.image_id for one in left(session, heir)] == [
        one.lease.image_id for one in rest
    ]
    # What the dead one writes after all is not wanted any more.
    assert chunks.remaining(session, dead, 10) is None
    late = [factories.result(rest[0].lease, LOW)]
    written = recording.record(session, dead, late, [], device="cpu", now=MONDAY, recall_share=1.0)
    assert written == Changes()
    say(session, heir, SEVERE)
    chunks.close(session, heir)
    assert report_of(session, run.id).scored == 3


def test_a_paused_run_waits_and_goes_on(session: Session, clinic_id: UUID) -> None:
    scored(session, clinic_id, LOW)
    activate(session)
    run = plan(session)
    chunk = take(session)
    runs.pause(session, run.id, reason="asked for")
    assert chunks.remaining(session, chunk, 10) is None
    chunks.release(session, chunk)
    assert chunks.count_waiting(session, 10) == 0
    assert chunks.acquire(session, worker_id=uuid4(), lease_seconds=60) is None
    assert reports.finish_done(session, now=MONDAY) == []
    with pytest.raises(Conflict, match="is paused"):
        runs.pause(session, run.id, reason="again")
    runs.resume(session, run.id)
    assert chunks.count_waiting(session, 10) == 1
    again = take(session)
    assert again.attempts == 1
    assert say(session, again, LOW).images == 1


def test_a_run_that_was_paused_before_it_began_has_a_beginning(
    session: Session, clinic_id: UUID
) -> None:
    scored(session, clinic_id, LOW)
    activate(session)
    run = plan(session)
    runs.pause(session, run.id, reason="asked for")
    runs.resume(session, run.id)
    take(session)
    session.refresh(run)
    assert (run.state, run.started_at is not None) == (RunState.RUNNING, True)


def test_going_on_after_another_pause_confirms_no_recalls(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    for _ in range(12):
        factories.decide(session, scored(session, clinic_id, LOW), clinician_id)
    activate(session)
    run = plan(session, Scope(kind="all"))
    runs.pause(session, run.id, reason="maintenance")
    runs.resume(session, run.id)
    assert len(say(session, take(session), SEVERE, share=0.02).recalled) == 12
    session.flush()
    session.refresh(run)
    assert (run.state, run.recalls_confirmed) == (RunState.PAUSED, False)
    runs.resume(session, run.id)
    assert (run.state, run.recalls_confirmed) == (RunState.RUNNING, True)


def test_a_cancelled_run_keeps_what_it_did(session: Session, clinic_id: UUID) -> None:
    case_ids = [scored(session, clinic_id, LOW) for _ in range(2)]
    activate(session)
    run = plan(session, size=1)
    chunk = take(session)
    say(session, chunk, SEVERE)
    chunks.close(session, chunk)
    reports.cancel(session, run.id, reason="asked for", now=MONDAY)
    assert [get(session, case_id).severity for case_id in case_ids] == ["severe", "low"]
    assert chunks.acquire(session, worker_id=uuid4(), lease_seconds=60) is None
    report = report_of(session, run.id)
    assert (report.state, report.scored, report.images) == (RunState.CANCELLED, 1, 2)
    with pytest.raises(Conflict, match="is cancelled"):
        runs.resume(session, run.id)
    with pytest.raises(Conflict, match="is cancelled"):
        reports.cancel(session, run.id, reason="again", now=MONDAY)


def test_many_recalls_stop_a_run_until_someone_confirms(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    for _ in range(14):
        factories.decide(session, scored(session, clinic_id, LOW), clinician_id)
    activate(session)
    run = plan(session, Scope(kind="all"), size=12)
    chunk = take(session)
    assert len(say(session, chunk, SEVERE, share=0.02).recalled) == 12
    chunks.close(session, chunk)
    session.refresh(run)
    assert run.state is RunState.PAUSED
    assert "12 of at most 14" in str(run.reason)
    assert chunks.acquire(session, worker_id=uuid4(), lease_seconds=60) is None
    runs.resume(session, run.id)
    chunk = take(session)
    assert len(say(session, chunk, SEVERE, share=0.02).recalled) == 2
    session.refresh(run)
    assert run.state is RunState.RUNNING


def test_an_unknown_run_is_told(session: Session) -> None:
    with pytest.raises(NotFound, match="no such run"):
        runs.find_run(session, uuid4())


# The report


def test_the_report_counts_what_happened(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    low = [scored(session, clinic_id, LOW) for _ in range(3)]
    middle = scored(session, clinic_id, 0.4)
    decided = scored(session, clinic_id, LOW)
    factories.decide(session, decided, clinician_id)
    activate(session)
    session.execute(text("UPDATE assessments SET created_at = '2026-01-01'"))
    run = plan(session, Scope(kind="all"))
    chunk = take(session)
    broken = left(session, chunk)[2].lease.image_id
    chunks.exclude_image(session, chunk, broken, reason="It cannot be decoded.")
    scores = {low[0]: 0.4, low[1]: SEVERE, middle: SEVERE, decided: SEVERE}
    say(session, chunk, lambda case_id: scores[case_id])
    chunks.close(session, chunk)
    report = report_of(session, run.id)
    assert (report.images, report.scored, report.failed) == (5, 4, 1)
    assert (report.upgrades, report.recalls) == (3, 1)
    moves = {(one.before, one.after): one.cases for one in report.transitions}
    assert moves == {
        ("low", "indeterminate"): 1,
        ("low", "severe"): 2,
        ("indeterminate", "severe"): 1,
    }
    assert [(one.reason, one.images) for one in report.failures] == [("It cannot be decoded.", 1)]
    assert report.drift.photographs == 4
    assert report.drift.mean == pytest.approx((0.3 + 0.8 + 0.5 + 0.8) / 4, abs=1e-6)
    assert sum(report.drift.histogram) == 4
    assert get(session, low[2]).severity is Severity.LOW


# With a worker


def all_is_severe(sessions: sessionmaker[Session]) -> None:
    """Let every policy call whatever is scored severe."""
    with sessions.begin() as session:
        nothing_else = PolicyVersion.body.op("||")({"lower": 0.0, "upper": 0.0})
        session.execute(update(PolicyVersion).values(body=nothing_else))


def test_a_worker_works_a_run_off(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
) -> None:
    runtime = start(scoring_batch=2)
    images = sent_and_scored(sessions, store, clinic_id, runtime, 7)
    run_id = begin(sessions, second)
    assert rescore(runtime) == 7
    assert rescore(runtime) == 0
    with sessions() as session:
        run = runs.find_run(session, run_id)
        assert run.state is RunState.FINISHED
        release = find_release(session, second)
        for image_id in images:
            assert factories.image(session, image_id).release_id == release.id
            assert session.get(Assessment, (release.id, image_id)) is not None
        assert invariants.check_invariants(session) == {}


def test_the_end_of_a_run_is_told_to_upkeep_which_writes_the_report(
    sessions: sessionmaker[Session],
    settings: Settings,
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
) -> None:
    runtime = start()
    sent_and_scored(sessions, store, clinic_id, runtime, 2)
    run_id = begin(sessions, second)
    queue = Redis.from_url(settings.redis_url.get_secret_value())
    # This Redis is the tests' own; what earlier tests sent has no reader.
    queue.delete(UPKEEP)
    make_worker(settings, runtime).tasks[RESCORE]()
    with sessions() as session:
        run = runs.find_run(session, run_id)
        assert (run.state, run.report) == (RunState.FINISHED, None)
    (message,) = queue.lrange(UPKEEP, 0, -1)
    task = json.loads(message)["headers"]["task"]
    app, _ = make_upkeep(settings)
    app.tasks[task]()
    with sessions() as session:
        report = RunReport.model_validate(runs.find_run(session, run_id).report)
        assert report.scored == 2


def test_uploads_go_first(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = start(scoring_batch=2)
    sent_and_scored(sessions, store, clinic_id, runtime, 6)
    begin(sessions, second, size=6)
    seen: list[tuple[int, int]] = []
    turns: list[bool] = []
    predict, turn = bulk.predict, runtime.turn

    def told_turn(ensemble: Ensemble, *, urgent: bool = False) -> AbstractContextManager[None]:
        turns.append(urgent)
        return turn(ensemble, urgent=urgent)

    def predict_and_send(runtime: Runtime, ensemble: Ensemble, ready: Any, fail: Any) -> Any:
        with sessions.begin() as session:
            waiting = session.scalar(text("SELECT count(*) FROM pending_images"))
            seen.append((len(ready), int(waiting or 0)))
            # While this batch is on the device, a clinic sends another photograph.
            files = [photograph(100 + len(seen))]
            factories.receive(session, clinic_id, store=store, files=files)
        return predict(runtime, ensemble, ready, fail)

    monkeypatch.setattr(bulk, "predict", predict_and_send)
    monkeypatch.setattr(runtime, "turn", told_turn)
    assert rescore(runtime) == 6
    assert seen == [(2, 0)] * 3
    # Each batch of the run, and after it the upload that came meanwhile, which waits for no other.
    assert turns == [False, True] * 3


@pytest.mark.parametrize(("threads", "images"), [(1, 16), (2, 8), (3, 4), (16, 2)])
def test_threads_that_share_a_cpu_share_a_batch_of_whole_passes(
    start: Callable[..., Runtime], threads: int, images: int
) -> None:
    runtime = start(scoring_batch=16, scoring_threads=threads)
    with runtime.sessions() as session:
        ensemble = runtime.ensembles.get(active_release(session))
    assert runtime.bulk_batch(ensemble) == images


def test_a_run_makes_maps_of_what_rose_and_of_what_was_sent_meanwhile(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
) -> None:
    runtime = start()
    (rising,) = sent_and_scored(sessions, store, clinic_id, runtime, 1)
    all_is_severe(sessions)
    (severe,) = sent_and_scored(sessions, store, clinic_id, runtime, 1)
    begin(sessions, second)
    all_is_severe(sessions)
    with sessions.begin() as session:
        files = [photograph(9)]
        receipt = factories.receive(session, clinic_id, store=store, files=files)
    (sent,) = receipt.pending_image_ids
    assert rescore(runtime) == 2
    for image_id in (rising, sent):
        assert store.get_heat_map(image_id, second)
    with pytest.raises(NotFound):
        store.get_heat_map(severe, second)


def test_an_image_that_cannot_be_scored_is_left_out_with_its_reason(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
    settings: Settings,
) -> None:
    runtime = start()
    images = sent_and_scored(sessions, store, clinic_id, runtime, 3)
    folder = Path(settings.store_url.removeprefix("file://"))
    for path in folder.rglob(f"*{images[1]}*"):
        path.write_bytes(b"no photograph")
    with sessions() as session:
        before = factories.image(session, images[1]).severity
    run_id = begin(sessions, second)
    assert rescore(runtime) == 2
    with sessions() as session:
        run = runs.find_run(session, run_id)
        assert run.state is RunState.FINISHED
        (failure,) = session.scalars(select(RescoreFailure))
        assert (failure.run_id, failure.image_id) == (run_id, images[1])
        assert factories.image(session, images[1]).severity is before


def test_what_killed_a_worker_is_found_and_its_neighbours_are_scored(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = start()
    images = sent_and_scored(sessions, store, clinic_id, runtime, 3)
    run_id = begin(sessions, second)

    class Death(BaseException):
        """Stands for the process's end."""

    from dermtriage_worker.scoring import bulk_loop as worker

    def deadly(store: ImageStore, image_id: UUID) -> bytes:
        if image_id == images[1]:
            raise Death
        return store.get_rendition(image_id)

    monkeypatch.setattr(worker, "rendition_of", deadly)
    # Among its neighbours, alone, and alone again, since another thing may have killed the second.
    for _ in range(3):
        with pytest.raises(Death):
            rescore(runtime)
        with sessions.begin() as session:
            session.execute(
                text("UPDATE rescore_chunks SET lease_expires_at = now() WHERE done_at IS NULL")
            )
    rescore(runtime)
    with sessions() as session:
        run = runs.find_run(session, run_id)
        assert run.state is RunState.FINISHED
        (failure,) = session.scalars(select(RescoreFailure))
        assert failure.image_id == images[1]
        assert "did not come back" in failure.reason
        release = find_release(session, second)
        done = session.scalars(
            select(Assessment.image_id).where(Assessment.release_id == release.id)
        )
        assert set(done) == {images[0], images[2]}

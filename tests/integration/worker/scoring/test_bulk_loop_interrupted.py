"""Bulk rescoring when something gets in its way: no image is left out that did no harm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker
from tests.runs import activate, begin, know, plan, sent_and_scored, take

from dermtriage.core.enums import RunState
from dermtriage.core.errors import Unavailable
from dermtriage.models import Assessment, Release, RescoreChunk, RescoreFailure
from dermtriage.releases.queries import find_release
from dermtriage.rescoring import chunks, recording, runs
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.scoring import bulk_loop as bulk
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.runtime import Ensembles, Runtime

Start = Callable[..., Runtime]


class Death(BaseException):
    """Stands for the process's end."""


def die_once(sessions: sessionmaker[Session]) -> None:
    """Have the next worker find the traces of a dead one."""
    with sessions.begin() as session:
        session.execute(text("UPDATE rescore_chunks SET attempts = attempts + 1"))


def let_leases_run_out(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        session.execute(
            text("UPDATE rescore_chunks SET lease_expires_at = now() WHERE done_at IS NULL")
        )


def failed(sessions: sessionmaker[Session]) -> dict[UUID, str]:
    with sessions() as session:
        rows = session.execute(select(RescoreFailure.image_id, RescoreFailure.reason))
        return dict(iter(rows))


def done_by(sessions: sessionmaker[Session], name: str) -> set[UUID]:
    with sessions() as session:
        release = find_release(session, name)
        return set(
            session.scalars(select(Assessment.image_id).where(Assessment.release_id == release.id))
        )


def state(sessions: sessionmaker[Session], run_id: UUID) -> RunState:
    with sessions() as session:
        return runs.find_run(session, run_id).state


@dataclass(frozen=True)
class Night:
    """A run of a second release over three photographs that has just begun, and a worker."""

    sessions: sessionmaker[Session]
    runtime: Runtime
    release: str
    images: list[UUID]
    run_id: UUID

    def require_whole(self) -> None:
        """The run has ended, and has left no image out."""
        assert state(self.sessions, self.run_id) is RunState.FINISHED
        assert failed(self.sessions) == {}
        assert done_by(self.sessions, self.release) == set(self.images)


@pytest.fixture
def night(
    sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID, start: Start, second: str
) -> Night:
    runtime = start()
    images = sent_and_scored(sessions, store, clinic_id, runtime, 3)
    return Night(sessions, runtime, second, images, begin(sessions, second))


def after(calls: int, error: BaseException, then: Callable[..., Any]) -> Callable[..., Any]:
    """Return a stand-in that raises in one call, the one after so many others."""
    made = iter(range(1000))

    def run(*arguments: Any) -> Any:
        if next(made) == calls:
            raise error
        return then(*arguments)

    return run


def test_a_careful_worker_triages_what_a_comparison_has_scored(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Start,
    second: str,
) -> None:
    runtime = start()
    images = sent_and_scored(sessions, store, clinic_id, runtime, 2)
    with sessions.begin() as session:
        plan(session, name=second)
    assert rescore(runtime) == 2
    run_id = begin(sessions, second)
    die_once(sessions)
    assert rescore(runtime) == 2
    assert state(sessions, run_id) is RunState.FINISHED
    assert failed(sessions) == {}
    with sessions() as session:
        triaged = session.execute(text("SELECT release_id FROM images")).scalars().all()
        assert triaged == [find_release(session, second).id] * len(images)


def test_a_chunk_that_surprises_time_after_time_ends_its_run(
    night: Night, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def surprise(*_: Any, **__: Any) -> None:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(recording, "record", surprise)
    assert rescore(night.runtime) == 0
    assert [one.message for one in caplog.records].count("chunk failed") == 3
    with night.sessions() as session:
        run = runs.find_run(session, night.run_id)
        assert run.state is RunState.FAILED
        assert "Chunk 0 failed in attempt 3: KeyError." in str(run.reason)
    assert failed(night.sessions) == {}


def test_one_surprise_ends_no_run(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    record = recording.record
    tries = iter(range(100))

    def surprise_once(*arguments: Any, **named: Any) -> Any:
        if next(tries) == 0:
            raise KeyError("a mistake of ours")
        return record(*arguments, **named)

    monkeypatch.setattr(recording, "record", surprise_once)
    assert rescore(night.runtime) == 3
    night.require_whole()


@pytest.mark.parametrize("where", ["decode", "predict", "load", "drain"])
@pytest.mark.parametrize("error", [Unavailable("The store is away."), MemoryError()])
def test_an_outage_after_a_death_leaves_no_image_out(
    night: Night, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    die_once(night.sessions)
    seen: list[dict[UUID, str]] = []
    give_back = chunks.release

    def watched(session: Session, *arguments: Any, **named: Any) -> None:
        seen.append(failed(night.sessions))
        give_back(session, *arguments, **named)

    monkeypatch.setattr(chunks, "release", watched)
    patched = {
        "decode": (bulk, "rendition_of"),
        "predict": (bulk, "predict"),
        "load": (night.runtime.ensembles, "get"),
        "drain": (bulk, "drain"),
    }
    owner, name = patched[where]
    # The first call of drain is before any chunk.
    calls = 2 if where == "drain" else 1
    monkeypatch.setattr(owner, name, after(calls, error, getattr(owner, name)))
    assert rescore(night.runtime) == 3
    assert seen == [{}]
    night.require_whole()


def test_a_stop_after_a_death_leaves_no_image_out(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_once(night.sessions)
    drained = iter(range(100))
    drain = bulk.drain

    def stop_in_the_second(*arguments: Any) -> int:
        if next(drained) == 2:
            night.runtime.stopping.set()
        return drain(*arguments)

    monkeypatch.setattr(bulk, "drain", stop_in_the_second)
    assert rescore(night.runtime) == 1
    assert failed(night.sessions) == {}
    night.runtime.stopping.clear()
    assert rescore(night.runtime) == 2
    night.require_whole()


def test_a_lost_chunk_s_image_is_left_to_the_heir(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_once(night.sessions)
    predict = bulk.predict
    heirs: list[chunks.Chunk] = []

    def slow(*arguments: Any) -> Any:
        if not heirs:
            let_leases_run_out(night.sessions)
            with night.sessions.begin() as session:
                heirs.append(take(session))
                # The heir dies at once, of something else.
        said = predict(*arguments)
        let_leases_run_out(night.sessions)
        return said

    monkeypatch.setattr(bulk, "predict", slow)
    rescore(night.runtime)
    monkeypatch.setattr(bulk, "predict", predict)
    rescore(night.runtime)
    night.require_whole()


def test_another_kill_leaves_no_image_out(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    die_once(night.sessions)
    read = bulk.rendition_of
    monkeypatch.setattr(bulk, "rendition_of", after(1, Death(), read))
    with pytest.raises(Death):
        rescore(night.runtime)
    ((suspected, reason),) = failed(night.sessions).items()
    assert suspected in night.images
    assert reason == chunks.SUSPECTED
    let_leases_run_out(night.sessions)
    rescore(night.runtime)
    night.require_whole()


def test_whoever_lost_a_chunk_gives_nothing_of_it_up(
    session: Session,
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Start,
    second: str,
) -> None:
    (image_id,) = sent_and_scored(sessions, store, clinic_id, start(), 1)
    begin(sessions, second)
    dead = take(session)
    session.execute(text("UPDATE rescore_chunks SET lease_expires_at = now()"))
    heir = take(session)
    assert not chunks.mark_suspect(session, dead, image_id)
    chunks.exclude_image(session, dead, image_id, reason="It cannot be decoded.")
    assert session.scalars(select(RescoreFailure)).all() == []
    assert chunks.mark_suspect(session, heir, image_id)


def test_rows_that_the_database_refuses_are_told_apart_whatever_they_are(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Start,
    second: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sqlalchemy.exc import DataError

    runtime = start(rescore_chunk=2)
    images = sent_and_scored(sessions, store, clinic_id, runtime, 2)
    with sessions.begin() as session:
        run = plan(session, name=second)
        session.execute(
            text("UPDATE rescore_chunks SET last_image_id = first_image_id, images = 1")
        )
        assert run.images == 2
    assert rescore(runtime) == 1
    known, new = sorted(images)
    run_id = begin(sessions, second)
    record = recording.record

    def refuse(session: Session, chunk: Any, results: Any, assessed: Any, **named: Any) -> Any:
        if any(one.lease.image_id == new for one in results):
            raise DataError("INSERT", {}, ValueError("refused"))
        return record(session, chunk, results, assessed, **named)

    monkeypatch.setattr(recording, "record", refuse)
    assert rescore(runtime) == 1
    assert state(sessions, run_id) is RunState.FINISHED
    assert list(failed(sessions)) == [new]
    assert done_by(sessions, second) == {known}


def test_a_release_that_is_activated_meanwhile_changes_hands(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Start,
    second: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = start(scoring_batch=1, rescore_chunk=20)
    sent_and_scored(sessions, store, clinic_id, runtime, 6)
    with sessions.begin() as session:
        plan(session, name=second)
    asked: list[str] = []
    get = Ensembles.get

    def watched(self: Ensembles, release: Release) -> Any:
        asked.append("active" if self is runtime.ensembles else "shadow")
        if len(asked) == 1:
            with sessions.begin() as session:
                activate(session, second)
        return get(self, release)

    monkeypatch.setattr(Ensembles, "get", watched)
    assert rescore(runtime) == 6
    assert asked[:2] == ["shadow", "active"]


def test_a_worker_without_the_release_leaves_the_run_to_others(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Start,
    second: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runtime = start(rescore_chunk=1)
    images = sent_and_scored(sessions, store, clinic_id, runtime, 2)
    with sessions.begin() as session:
        know(session)
        lacking = plan(session, size=1).id
        other = plan(session, name=second).id
    assert rescore(runtime) == 2
    # The younger run did not have to wait for the older one.
    assert done_by(sessions, second) == set(images)
    assert state(sessions, other) is RunState.FINISHED
    assert [one.message for one in caplog.records].count("release not loaded") == 1
    with sessions() as session:
        run = runs.find_run(session, lacking)
        assert run.state is RunState.RUNNING
        assert "A worker cannot take part. Release next has no readable" in str(run.reason)
        rows = session.scalars(select(RescoreChunk).where(RescoreChunk.run_id == lacking)).all()
        assert [row.attempts for row in rows] == [0, 0]
        assert [row.lease_token for row in rows] == [None, None]
    # Somebody puts the folder there.
    with sessions() as session:
        good = find_release(session, second)
    get = Ensembles.get
    monkeypatch.setattr(Ensembles, "get", lambda self, _: get(self, good))
    assert rescore(runtime) == 2
    with sessions() as session:
        run = runs.find_run(session, lacking)
        assert (run.state, run.reason) == (RunState.FINISHED, None)

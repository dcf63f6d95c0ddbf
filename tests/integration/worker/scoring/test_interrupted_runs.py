"""Rescoring when something gets in its way: no image is left out that did no harm."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session, sessionmaker
from tests.doubles import EnsembleLoader, WatchedStore
from tests.faults import READ_PENDING, RECORD, before_statement, kill
from tests.runs import begin, plan, sent_and_scored, take
from tests.uploads import LATER
from torch import Tensor

from dermtriage.core.enums import RunState
from dermtriage.core.errors import ConfigurationError, Unavailable
from dermtriage.models import Assessment, RescoreFailure
from dermtriage.releases.queries import find_release
from dermtriage.rescoring import failures, runs
from dermtriage.rescoring.chunk_leases import Chunk
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.device import DeviceOutOfMemory
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.runtime import Runtime

Start = Callable[..., Runtime]


class Death(BaseException):
    """The end of the process."""


def die_once(sessions: sessionmaker[Session]) -> None:
    """Have the next worker find the traces of a dead one."""
    with sessions.begin() as session:
        session.execute(text("UPDATE rescore_chunks SET attempts = attempts + 1"))


def expire_leases(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        session.execute(
            text("UPDATE rescore_chunks SET lease_expires_at = now() WHERE done_at IS NULL")
        )


def end_rest(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        session.execute(text("UPDATE rescore_chunks SET not_before = NULL"))


def failed(sessions: sessionmaker[Session]) -> dict[UUID, str]:
    with sessions() as session:
        rows = session.execute(select(RescoreFailure.image_id, RescoreFailure.reason))
        return dict(iter(rows))


def scored_by(sessions: sessionmaker[Session], name: str) -> set[UUID]:
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

    def load_release(self) -> None:
        """Load the run's release before the run: it is warmed up by a prediction."""
        with self.sessions() as session:
            self.runtime.active.ensemble_of(find_release(session, self.release))

    def require_whole(self) -> None:
        """The run has ended, and has left no image out."""
        assert state(self.sessions, self.run_id) is RunState.FINISHED
        assert failed(self.sessions) == {}
        assert scored_by(self.sessions, self.release) == set(self.images)


@pytest.fixture
def make_night(
    sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID, start: Start, second: str
) -> Callable[..., Night]:
    def make(**changes: Any) -> Night:
        runtime = start(**changes)
        images = sent_and_scored(sessions, store, clinic_id, runtime, 3)
        return Night(sessions, runtime, second, images, begin(sessions, second))

    return make


@pytest.fixture
def night(make_night: Callable[..., Night]) -> Night:
    return make_night()


def raise_at(number: int, error: BaseException) -> Callable[..., None]:
    """Return a function that raises when it is called the first, second … time, from 0 on."""
    calls = iter(range(1000))

    def run(*_: Any) -> None:
        if next(calls) == number:
            raise error

    return run


def test_after_a_death_what_a_comparison_has_scored_is_triaged(
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


def test_a_chunk_that_fails_in_every_attempt_ends_its_run(
    night: Night, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("a mistake of ours")

    before_statement(night.runtime, RECORD, fail)
    assert rescore(night.runtime) == 0
    assert [one.message for one in caplog.records].count("chunk failed") == 3
    with night.sessions() as session:
        run = runs.find_run(session, night.run_id)
        assert run.state is RunState.FAILED
        assert "Chunk 0 failed in attempt 3: KeyError." in str(run.reason)
    assert failed(night.sessions) == {}


def test_a_chunk_that_fails_once_is_tried_again(night: Night) -> None:
    before_statement(night.runtime, RECORD, raise_at(0, KeyError("a mistake of ours")))
    assert rescore(night.runtime) == 3
    night.require_whole()


@pytest.mark.parametrize(
    ("where", "error", "done"),
    [
        ("store", Unavailable("The store is out of reach."), 1),
        ("store", MemoryError(), 1),
        ("device", DeviceOutOfMemory("The device is full."), 1),
        ("device", MemoryError(), 1),
        ("load", ConfigurationError("There is no such device."), 0),
        ("load", MemoryError(), 0),
        ("uploads", None, 1),
        ("uploads", MemoryError(), 1),
    ],
)
def test_an_outage_after_a_death_leaves_no_image_out(
    make_night: Callable[..., Night],
    ensembles: EnsembleLoader,
    watched: WatchedStore,
    where: str,
    error: Exception | None,
    done: int,
) -> None:
    night = make_night(outage_delay=LATER)
    die_once(night.sessions)
    if where != "load":
        night.load_release()
    if where == "store":
        # The first image is scored, the second one fails.
        watched.before = raise_at(1, error or Death())
    elif where == "load":
        ensembles.before_load = raise_at(0, error or Death())
    elif where == "device":
        break_second = raise_at(1, error or Death())

        def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
            break_second()
            return real(batch)

        ensembles.predict = predict
    else:
        # Before the chunk, before its first image, before its second one.
        def break_third(count: int, connection: Connection) -> None:
            if count == 2 and error is None:
                kill(night.sessions, connection)
            elif count == 2:
                raise error or Death()

        before_statement(night.runtime, READ_PENDING, break_third)
    assert rescore(night.runtime) == done
    assert failed(night.sessions) == {}
    assert state(night.sessions, night.run_id) is RunState.RUNNING
    end_rest(night.sessions)
    assert rescore(night.runtime) == 3 - done
    night.require_whole()


def test_a_stop_after_a_death_leaves_no_image_out(night: Night) -> None:
    die_once(night.sessions)

    def stop(count: int, _: Connection) -> None:
        # Before the chunk, before its first image, before its second one.
        if count == 2:
            night.runtime.stopping.set()

    before_statement(night.runtime, READ_PENDING, stop)
    assert rescore(night.runtime) == 1
    assert failed(night.sessions) == {}
    night.runtime.stopping.clear()
    assert rescore(night.runtime) == 2
    night.require_whole()


def test_an_image_of_a_chunk_whose_lease_was_lost_is_left_to_the_next_worker(
    night: Night, ensembles: EnsembleLoader
) -> None:
    die_once(night.sessions)
    night.load_release()
    taken: list[Chunk] = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        if not taken:
            expire_leases(night.sessions)
            with night.sessions.begin() as session:
                # Another worker takes the chunk, and dies at once of something else.
                taken.append(take(session))
        predictions = real(batch)
        expire_leases(night.sessions)
        return predictions

    ensembles.predict = predict
    rescore(night.runtime)
    ensembles.predict = None
    rescore(night.runtime)
    night.require_whole()


def test_another_death_leaves_no_image_out(night: Night, watched: WatchedStore) -> None:
    die_once(night.sessions)
    watched.before = raise_at(1, Death())
    with pytest.raises(Death):
        rescore(night.runtime)
    ((suspect, reason),) = failed(night.sessions).items()
    assert suspect in night.images
    assert reason == failures.SUSPECTED
    expire_leases(night.sessions)
    rescore(night.runtime)
    night.require_whole()


def test_a_row_that_the_database_refuses_costs_no_other_image_its_triage(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Start,
    second: str,
    ensembles: EnsembleLoader,
) -> None:
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

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        return [replace(one, quality={"sharpness": math.inf}) for one in real(batch)]

    # Only the new one goes to the device.
    ensembles.predict = predict
    assert rescore(runtime) == 1
    assert state(sessions, run_id) is RunState.FINISHED
    assert list(failed(sessions)) == [new]
    assert scored_by(sessions, second) == {known}

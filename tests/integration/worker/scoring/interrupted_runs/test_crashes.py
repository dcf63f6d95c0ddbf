"""After a crash of a worker its run goes on, and no image is left out that did not cause it."""

import threading
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.database_faults import READ_PENDING, before_statement, kill
from tests.doubles import EnsembleLoader, WatchedStore
from tests.integration.worker.scoring.interrupted_runs.started_run import (
    Crash,
    StartedRun,
    end_chunk_delays,
    expire_chunk_leases,
    failure_reasons,
    raise_at_call,
    record_crashed_attempt,
    run_state,
)
from tests.runs import activate_and_plan, lease_chunk, plan_run, receive_and_score
from tests.uploads import LONG_DELAY
from torch import Tensor

from dermtriage.core.enums import RunState
from dermtriage.core.errors import ConfigurationError, Unavailable
from dermtriage.releases.queries import find_release
from dermtriage.rescoring import chunk_leases, failures
from dermtriage.rescoring.chunk_leases import Chunk
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.device import DeviceOutOfMemory
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.termination import release_everything

Start = Callable[..., Runtime]


def test_after_a_crash_images_that_an_earlier_run_scored_are_triaged(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Start,
    second: str,
) -> None:
    runtime = start()
    images = receive_and_score(sessions, store, clinic_id, runtime, 2)
    with sessions.begin() as session:
        plan_run(session, name=second)
    assert rescore(runtime) == 2
    run_id = activate_and_plan(sessions, second)
    record_crashed_attempt(sessions)
    assert rescore(runtime) == 2
    assert run_state(sessions, run_id) is RunState.FINISHED
    assert failure_reasons(sessions) == {}
    with sessions() as session:
        triaged = session.execute(text("SELECT release_id FROM images")).scalars().all()
        assert triaged == [find_release(session, second).id] * len(images)


@pytest.mark.parametrize(
    ("where", "error", "done"),
    [
        ("store", Unavailable("The store is out of reach."), 1),
        ("device", DeviceOutOfMemory("The device is full."), 1),
        ("device", MemoryError(), 1),
        ("load", ConfigurationError("There is no such device."), 0),
        ("load", MemoryError(), 0),
        ("uploads", None, 1),
        ("uploads", MemoryError(), 1),
    ],
)
def test_an_outage_after_a_crash_leaves_no_image_out(
    start_run: Callable[..., StartedRun],
    ensembles: EnsembleLoader,
    watched: WatchedStore,
    where: str,
    error: Exception | None,
    done: int,
) -> None:
    started = start_run(outage_delay=LONG_DELAY)
    record_crashed_attempt(started.sessions)
    if where != "load":
        started.load_release()
    if where == "store":
        # The first image is scored, the second one fails.
        watched.before = raise_at_call(1, error or Crash())
    elif where == "load":
        ensembles.before_load = raise_at_call(0, error or Crash())
    elif where == "device":
        break_second = raise_at_call(1, error or Crash())

        def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
            break_second()
            return real(batch)

        ensembles.predict = predict
    else:
        # Before the chunk, before its first image, before its second one.
        def break_third(count: int, connection: Connection) -> None:
            if count == 2 and error is None:
                kill(started.sessions, connection)
            elif count == 2:
                raise error or Crash()

        before_statement(started.runtime, READ_PENDING, break_third)
    assert rescore(started.runtime) == done
    assert failure_reasons(started.sessions) == {}
    assert run_state(started.sessions, started.run_id) is RunState.RUNNING
    end_chunk_delays(started.sessions)
    assert rescore(started.runtime) == 3 - done
    started.assert_complete()


def test_a_stop_after_a_crash_leaves_no_image_out(started: StartedRun) -> None:
    record_crashed_attempt(started.sessions)

    def stop(count: int, _: Connection) -> None:
        # Before the chunk, before its first image, before its second one.
        if count == 2:
            started.runtime.stopping.set()

    before_statement(started.runtime, READ_PENDING, stop)
    assert rescore(started.runtime) == 1
    assert failure_reasons(started.sessions) == {}
    started.runtime.stopping.clear()
    assert rescore(started.runtime) == 2
    started.assert_complete()


def test_an_image_of_a_chunk_whose_lease_was_lost_is_left_to_the_next_worker(
    started: StartedRun, ensembles: EnsembleLoader
) -> None:
    record_crashed_attempt(started.sessions)
    started.load_release()
    taken: list[Chunk] = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        if not taken:
            expire_chunk_leases(started.sessions)
            with started.sessions.begin() as session:
                # Another worker leases the chunk, and crashes at once for another reason.
                taken.append(lease_chunk(session))
        predictions = real(batch)
        expire_chunk_leases(started.sessions)
        return predictions

    ensembles.predict = predict
    rescore(started.runtime)
    ensembles.predict = None
    rescore(started.runtime)
    started.assert_complete()


def test_a_second_crash_leaves_no_image_out(started: StartedRun, watched: WatchedStore) -> None:
    record_crashed_attempt(started.sessions)
    watched.before = raise_at_call(1, Crash())
    with pytest.raises(Crash):
        rescore(started.runtime)
    ((suspect, reason),) = failure_reasons(started.sessions).items()
    assert suspect in started.images
    assert reason == failures.SUSPECTED
    expire_chunk_leases(started.sessions)
    rescore(started.runtime)
    started.assert_complete()


def test_after_a_crash_each_image_is_scored_while_its_process_does_nothing_else(
    start_run: Callable[..., StartedRun], ensembles: EnsembleLoader
) -> None:
    started = start_run(scoring_threads=2, rescore_chunk=3)
    started.load_release()
    with started.sessions.begin() as session:
        # A worker with two threads died, each of which held a chunk.
        session.execute(
            text(
                "INSERT INTO rescore_chunks (run_id, number, first_image_id, last_image_id, images)"
                " SELECT run_id, 1, last_image_id, last_image_id, 1 FROM rescore_chunks"
            )
        )
        session.execute(
            text("UPDATE rescore_chunks SET last_image_id = :last WHERE number = 0"),
            {"last": sorted(started.images)[1]},
        )
        for _ in range(2):
            lease_chunk(session)
    expire_chunk_leases(started.sessions)
    running, most = 0, 0
    lock = threading.Lock()

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        marked = failure_reasons(started.sessions)
        assert (len(batch), list(marked.values())) == (1, [failures.SUSPECTED])
        predictions = real(batch)
        with lock:
            running -= 1
        return predictions

    ensembles.predict = predict
    assert sum(factories.run_concurrently([lambda: rescore(started.runtime)] * 2)) == 3
    assert most == 1
    started.assert_complete()
    with started.sessions() as session:
        # The death of a worker is no failure of its chunks: it brings no run to its end.
        attempts = session.execute(text("SELECT attempts FROM rescore_chunks")).scalars().all()
        assert attempts == [0, 0]


def test_a_chunk_of_a_process_that_hung_over_it_is_suspect(
    started: StartedRun, ensembles: EnsembleLoader
) -> None:
    started.load_release()

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        release_everything(started.runtime, started.runtime.running.hung(0), reason="It hung.")
        return real(batch)

    ensembles.predict = predict
    assert rescore(started.runtime) == 0
    with started.sessions.begin() as session:
        chunk = lease_chunk(session)
        assert (chunk.suspect, chunk.attempts) == (True, 1)
        chunk_leases.release(session, chunk)
    started.runtime.stopping.clear()
    ensembles.predict = None
    assert rescore(started.runtime) == 3
    started.assert_complete()

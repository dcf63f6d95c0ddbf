"""Idle slots find work in the database: no message is sent in these tests."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker
from tests.database_faults import READ_PENDING, before_statement
from tests.doubles import EnsembleLoader
from tests.runs import activate_and_plan, receive_and_score
from tests.uploads import scoring_states, send
from torch import Tensor

from dermtriage.core.enums import RunState, Scoring
from dermtriage.rescoring import runs
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.scoring.poller import Poller
from dermtriage_worker.scoring.runtime import Runtime

WAIT = 30.0

StartPoller = Callable[[Runtime], Poller]


@pytest.fixture
def poll() -> Iterator[StartPoller]:
    """Start pollers that look often."""
    started: list[tuple[Runtime, Poller]] = []

    def run(runtime: Runtime) -> Poller:
        poller = Poller(runtime, pause=0.02)
        started.append((runtime, poller))
        poller.start()
        return poller

    yield run
    for runtime, poller in started:
        runtime.stopping.set()
        poller.join()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_idle_slot_finds_a_pending_upload(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    poll: StartPoller,
) -> None:
    poll(start())
    images = send(sessions, store, clinic_id, 2)
    wait_until(lambda: scoring_states(sessions, images) == [Scoring.SCORED] * 2)


def test_a_worker_of_bulk_finds_chunks_although_as_many_uploads_wait_as_slots_are_free(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
    poll: StartPoller,
) -> None:
    bulk, uploads = start(worker_queues="bulk"), start(worker_queues="uploads")
    receive_and_score(sessions, store, clinic_id, uploads, 4)
    run_id = activate_and_plan(sessions, second)
    send(sessions, store, clinic_id, 2)
    poll(bulk)

    def finished() -> bool:
        with sessions() as session:
            return runs.find_run(session, run_id).state is RunState.FINISHED

    wait_until(finished)


def test_a_worker_of_uploads_leaves_chunks_to_others(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
    poll: StartPoller,
) -> None:
    runtime = start(worker_queues="uploads")
    receive_and_score(sessions, store, clinic_id, runtime, 1)
    run_id = activate_and_plan(sessions, second)
    poll(runtime)
    images = send(sessions, store, clinic_id, 1)
    wait_until(lambda: scoring_states(sessions, images) == [Scoring.SCORED])
    with sessions() as session:
        assert runs.find_run(session, run_id).state is RunState.PLANNED


def test_no_more_threads_work_than_there_are_slots(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    poll: StartPoller,
) -> None:
    runtime = start()
    images = send(sessions, store, clinic_id, 1)
    with runtime.slots:
        poll(runtime)
        time.sleep(0.2)
        assert scoring_states(sessions, images) == [Scoring.PENDING]
    wait_until(lambda: scoring_states(sessions, images) == [Scoring.SCORED])


def test_the_end_waits_for_the_batch_under_way(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
    poll: StartPoller,
) -> None:
    runtime = start(scoring_batch=1)

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        runtime.stopping.set()
        return real(batch)

    ensembles.predict = predict
    images = send(sessions, store, clinic_id, 2)
    poller = poll(runtime)
    poller.join()
    assert sorted(scoring_states(sessions, images)) == [Scoring.PENDING, Scoring.SCORED]


@pytest.mark.parametrize("error", [OperationalError("", None, Exception()), ValueError("a bug")])
def test_an_error_does_not_end_the_looks(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    poll: StartPoller,
    error: Exception,
) -> None:
    runtime = start()

    def fail_at_first(count: int, _: Connection) -> None:
        if count == 0:
            raise error

    before_statement(runtime, READ_PENDING, fail_at_first)
    poll(runtime)
    images = send(sessions, store, clinic_id, 1)
    wait_until(lambda: scoring_states(sessions, images) == [Scoring.SCORED])

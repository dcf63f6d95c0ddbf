"""Workers lease chunks of active runs only, and never the same one."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import LOW, MONDAY
from tests.runs import (
    activate,
    add_scored_case,
    lease_chunk,
    plan_run,
    start_and_wait_until_blocked,
)

from dermtriage.core.enums import RunState
from dermtriage.rescoring import chunk_leases, lifecycle, runs


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("after", [RunState.PAUSED, RunState.CANCELLED])
def test_a_worker_that_is_leasing_a_chunk_undoes_no_pause(
    sessions: sessionmaker[Session], clinic_id: UUID, after: RunState, started: bool
) -> None:
    with sessions.begin() as session:
        add_scored_case(session, clinic_id, LOW)
        activate(session)
        run_id = plan_run(session).id
        if started:
            chunk_leases.release(session, lease_chunk(session))

    def lease() -> object:
        with sessions.begin() as other:
            return chunk_leases.acquire(other, worker_id=uuid4(), lease_seconds=60)

    with sessions.begin() as session:
        if after is RunState.PAUSED:
            lifecycle.pause(session, run_id, reason="requested by the test")
        else:
            lifecycle.cancel(session, run_id, reason="requested by the test", now=MONDAY)
        session.flush()
        future = start_and_wait_until_blocked(sessions, lease)
    assert future.result(20) is None
    with sessions() as session:
        run = runs.find_run(session, run_id)
        assert run.state is after
        assert (run.started_at is not None) is started


def test_workers_that_start_a_run_together_lease_a_chunk_each(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        for _ in range(4):
            add_scored_case(session, clinic_id, LOW)
        activate(session)
        run_id = plan_run(session, size=1).id

    def lease() -> int:
        with sessions.begin() as session:
            return lease_chunk(session).number

    assert sorted(factories.run_concurrently([lease] * 4)) == [0, 1, 2, 3]
    with sessions() as session:
        assert runs.find_run(session, run_id).state is RunState.RUNNING

"""The registry of workers."""

from datetime import timedelta

from sqlalchemy.orm import Session

from dermtriage.scoring import workers
from dermtriage.scoring.workers import Heartbeat


def test_a_worker_learns_from_its_next_heartbeat_that_it_was_removed(session: Session) -> None:
    worker_id = workers.register_worker(
        session, hostname="h", pid=1, slots=2, device="cpu", release="tiny"
    )
    assert workers.record_heartbeat(session, worker_id=worker_id, heartbeat=Heartbeat(0, 0, 0))
    workers.remove_silent_workers(session, silent_for=timedelta(seconds=-1))
    assert not workers.record_heartbeat(session, worker_id=worker_id, heartbeat=Heartbeat(0, 0, 0))

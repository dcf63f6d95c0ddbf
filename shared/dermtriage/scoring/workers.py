"""The scoring processes and their signs of life."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from dermtriage.models import Worker


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a worker tells of itself; the counts are since its start."""

    busy: int
    batches: int
    completed: int


def register(
    session: Session, *, hostname: str, pid: int, slots: int, device: str, release: str
) -> UUID:
    """Enter a new process; its `slots` threads count as live from now on."""
    worker = Worker(
        hostname=hostname,
        pid=pid,
        slots=slots,
        device=device,
        release=release,
        heartbeat_at=func.now(),
    )
    session.add(worker)
    session.flush()
    return worker.id


def beat(session: Session, *, worker_id: UUID, pulse: Pulse) -> bool:
    """Give a sign of life.

    Returns
    -------
    bool
        False if the process is not on the list any more.
    """
    known = session.execute(
        update(Worker)
        .where(Worker.id == worker_id)
        .values(
            heartbeat_at=func.now(),
            busy=pulse.busy,
            batches=pulse.batches,
            completed=pulse.completed,
        )
        .returning(Worker.id)
    )
    return known.first() is not None


def retire(session: Session, *, worker_id: UUID) -> None:
    """Take a process off the list as it ends in an orderly way."""
    session.execute(delete(Worker).where(Worker.id == worker_id))


def forget_silent(session: Session, *, silent_for: timedelta) -> None:
    """Take processes off the list that gave no sign for a long time."""
    session.execute(delete(Worker).where(Worker.heartbeat_at < func.now() - silent_for))


def live_slots(session: Session, *, slow_after: float) -> int:
    """Return how many threads could take work now; `slow_after` is in seconds."""
    fresh = Worker.heartbeat_at > func.now() - timedelta(seconds=slow_after)
    return session.scalar(select(func.coalesce(func.sum(Worker.slots), 0)).where(fresh)) or 0


def free_slots(session: Session, *, slow_after: float) -> int:
    """Return how many threads of live processes were idle at their last sign of life."""
    fresh = Worker.heartbeat_at > func.now() - timedelta(seconds=slow_after)
    free = func.sum(Worker.slots - Worker.busy)
    return session.scalar(select(func.coalesce(free, 0)).where(fresh)) or 0

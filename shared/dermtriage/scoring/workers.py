"""The registry of scoring processes, and their heartbeats."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from dermtriage.models import Worker


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The figures that a worker reports; the counts are since its start."""

    busy: int
    batches: int
    completed: int


def register_worker(
    session: Session, *, hostname: str, pid: int, slots: int, device: str, release: str
) -> UUID:
    """Register a new process; its `slots` threads count as live from now on."""
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


def record_heartbeat(session: Session, *, worker_id: UUID, heartbeat: Heartbeat) -> bool:
    """Store the time and the figures of a heartbeat.

    Returns
    -------
    bool
        False if the process is not registered any more.
    """
    registered = session.execute(
        update(Worker)
        .where(Worker.id == worker_id)
        .values(
            heartbeat_at=func.now(),
            busy=heartbeat.busy,
            batches=heartbeat.batches,
            completed=heartbeat.completed,
        )
        .returning(Worker.id)
    )
    return registered.first() is not None


def remove_worker(session: Session, *, worker_id: UUID) -> None:
    """Remove a process that ends in an orderly way from the registry."""
    session.execute(delete(Worker).where(Worker.id == worker_id))


def remove_silent_workers(session: Session, *, silent_for: timedelta) -> None:
    """Remove the processes whose last heartbeat is longer ago than `silent_for`."""
    session.execute(delete(Worker).where(Worker.heartbeat_at < func.now() - silent_for))


def live_slots(session: Session, *, slow_after: float) -> int:
    """Return the number of threads of live processes; `slow_after` is in seconds."""
    slots = func.coalesce(func.sum(Worker.slots), 0)
    return session.scalar(select(slots).where(_live(slow_after))) or 0


def free_slots(session: Session, *, slow_after: float) -> int:
    """Return the number of threads of live processes that were idle at the last heartbeat."""
    slots = func.coalesce(func.sum(Worker.slots - Worker.busy), 0)
    return session.scalar(select(slots).where(_live(slow_after))) or 0


def _live(slow_after: float) -> ColumnElement[bool]:
    return Worker.heartbeat_at > func.now() - timedelta(seconds=slow_after)

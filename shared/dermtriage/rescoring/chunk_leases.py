"""Workers' leases on chunks of rescore runs: acquire, renew, release, complete.

All times are the database's, so that no worker's clock counts.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from dermtriage.core.enums import ACTIVE, RunState
from dermtriage.models import RescoreChunk, RescoreRun, lease_tokens
from dermtriage.rescoring.scope import Scope


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk leased to one worker: the images of a run between two ids.

    Attributes
    ----------
    token
        Fencing token of the lease: a worker that lost its lease can write nothing more.
    attempts
        Number of attempts so far, this one included; those that an outage or the worker's death
        ended are not counted.
    suspect
        Whether a worker died while it held the chunk: one of its images may be the reason.
    """

    run_id: UUID
    number: int
    release_id: int
    scope: Scope
    first_image_id: UUID
    last_image_id: UUID
    token: int
    attempts: int
    suspect: bool


def count_available(session: Session, limit: int) -> int:
    """Return the number of chunks that a worker could lease now, at most `limit`."""
    found = (
        select(RescoreChunk.number)
        .join(RescoreRun, RescoreRun.id == RescoreChunk.run_id)
        .where(RescoreRun.state.in_(ACTIVE), _available())
        .limit(limit)
        .subquery()
    )
    return session.scalar(select(func.count()).select_from(found)) or 0


def acquire(
    session: Session,
    *,
    worker_id: UUID,
    lease_seconds: float,
    excluded_releases: Collection[int] = (),
) -> Chunk | None:
    """Lease the next chunk of the oldest active run that has one; None if there is none.

    Parameters
    ----------
    excluded_releases
        Releases with which this worker cannot score.
    """
    active_runs = (
        select(RescoreRun.id)
        .where(RescoreRun.state.in_(ACTIVE), RescoreRun.release_id.not_in(excluded_releases))
        .order_by(RescoreRun.created_at)
    )
    for run_id in session.scalars(active_runs).all():
        chunk = session.scalar(
            select(RescoreChunk)
            .where(RescoreChunk.run_id == run_id, _available())
            .order_by(RescoreChunk.number)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        # The run may have been paused or have ended since it was read.
        if chunk is None or (run := _lock_run(session, run_id)).state not in ACTIVE:
            continue
        # A lease that ran out, since a chunk that is free has none.
        suspect = chunk.suspect or chunk.lease_token is not None
        token = session.scalar(
            update(RescoreChunk)
            .where(RescoreChunk.run_id == run.id, RescoreChunk.number == chunk.number)
            .values(
                lease_token=lease_tokens.next_value(),
                lease_expires_at=func.now() + timedelta(seconds=lease_seconds),
                worker_id=worker_id,
                suspect=suspect,
            )
            .returning(RescoreChunk.lease_token)
        )
        session.execute(
            update(RescoreRun)
            .where(RescoreRun.id == run.id, RescoreRun.started_at.is_(None))
            .values(state=RunState.RUNNING, started_at=func.now())
        )
        return Chunk(
            run.id,
            chunk.number,
            run.release_id,
            Scope.model_validate(run.scope),
            chunk.first_image_id,
            chunk.last_image_id,
            token or 0,
            chunk.attempts + 1,
            suspect,
        )
    return None


def lock(session: Session, chunk: Chunk) -> RescoreRun | None:
    """Lock a leased chunk until the caller's transaction ends; its run cannot end meanwhile.

    Returns
    -------
    RescoreRun or None
        The run as it is now; None if it has ended or the lease is lost, so that nothing may be
        written.
    """
    locked = session.scalar(
        select(RescoreChunk.number)
        .where(
            RescoreChunk.run_id == chunk.run_id,
            RescoreChunk.number == chunk.number,
            RescoreChunk.lease_token == chunk.token,
        )
        .with_for_update()
    )
    if locked is None:
        return None
    run = _lock_run(session, chunk.run_id)
    return run if run.ended_at is None else None


def renew(session: Session, *, tokens: Collection[int], lease_seconds: float) -> None:
    """Prolong leases; a chunk that is locked, because its worker is writing, is passed over."""
    leased = (
        select(RescoreChunk.run_id, RescoreChunk.number)
        .where(RescoreChunk.lease_token.in_(tokens))
        .with_for_update(skip_locked=True)
        .subquery()
    )
    session.execute(
        update(RescoreChunk)
        .where(RescoreChunk.run_id == leased.c.run_id, RescoreChunk.number == leased.c.number)
        .values(lease_expires_at=func.now() + timedelta(seconds=lease_seconds))
        .execution_options(synchronize_session=False)
    )


def release(
    session: Session,
    chunk: Chunk,
    *,
    delay: float = 0.0,
    costs_attempt: bool = False,
    suspect: bool = False,
) -> None:
    """Give back a chunk that is not completed.

    Parameters
    ----------
    delay
        Seconds during which no worker may lease it.
    costs_attempt
        Whether the attempt counts, because the chunk itself failed.
    suspect
        Whether one of the images may have broken the device: the next worker then scores them one
        at a time.
    """
    session.execute(
        update(RescoreChunk)
        .where(RescoreChunk.lease_token == chunk.token)
        .values(
            lease_token=None,
            lease_expires_at=None,
            worker_id=None,
            attempts=RescoreChunk.attempts + int(costs_attempt),
            suspect=True if suspect else RescoreChunk.suspect,
            not_before=func.now() + timedelta(seconds=delay),
        )
    )


def release_all_of_worker(session: Session, *, worker_id: UUID, suspects: Collection[int]) -> None:
    """Give back all chunks of a worker that is about to end itself, to be leased at once.

    Chunks that are being written at this moment are skipped: their leases expire.

    Parameters
    ----------
    suspects
        Tokens of the leases on chunks of which an image may be why it ends.
    """
    held = (
        select(RescoreChunk.run_id, RescoreChunk.number)
        .where(RescoreChunk.worker_id == worker_id, RescoreChunk.lease_token.is_not(None))
        .with_for_update(skip_locked=True)
        .subquery()
    )
    session.execute(
        update(RescoreChunk)
        .where(RescoreChunk.run_id == held.c.run_id, RescoreChunk.number == held.c.number)
        .values(
            lease_token=None,
            lease_expires_at=None,
            worker_id=None,
            suspect=or_(RescoreChunk.suspect, RescoreChunk.lease_token.in_(suspects)),
        )
        .execution_options(synchronize_session=False)
    )


def complete(session: Session, chunk: Chunk) -> None:
    """Mark a chunk as done: none of its images remains."""
    session.execute(
        update(RescoreChunk)
        .where(RescoreChunk.lease_token == chunk.token)
        .values(lease_token=None, lease_expires_at=None, worker_id=None, done_at=func.now())
    )


def _available() -> ColumnElement[bool]:
    """Return the condition that a chunk of an active run may be leased now."""
    return and_(
        RescoreChunk.done_at.is_(None),
        or_(RescoreChunk.lease_expires_at.is_(None), RescoreChunk.lease_expires_at <= func.now()),
        or_(RescoreChunk.not_before.is_(None), RescoreChunk.not_before <= func.now()),
    )


def _lock_run(session: Session, run_id: UUID) -> RescoreRun:
    """Return a run as it is now; it cannot be paused or ended until the transaction ends.

    The lock is shared, so workers do not wait for each other: only a change of the run's state
    locks the row exclusively.
    """
    return session.scalars(
        select(RescoreRun)
        .where(RescoreRun.id == run_id)
        .with_for_update(read=True, key_share=True)
        .execution_options(populate_existing=True)
    ).one()

"""Workers' leases on chunks of rescore runs: take, keep, give back, close.

A chunk is bounds of some images. What is left of it is asked of the images themselves, so that
whoever takes up the chunk of a dead worker does nothing twice and leaves nothing out. All times
are the database's.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from dermtriage.core.enums import ACTIVE, RunState
from dermtriage.models import (
    Assessment,
    Case,
    Image,
    RescoreChunk,
    RescoreFailure,
    RescoreRun,
    lease_tokens,
)
from dermtriage.rescoring.scope import Scope, unscored_by, within
from dermtriage.scoring.leases import MAX_ERROR, METADATA_COLUMNS, Lease, metadata_inputs

SUSPECTED = "The worker did not come back from scoring it; it is to be tried once more."
LEFT_OUT = "The worker did not come back from scoring it, twice."


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk lent to one worker; `token` fences what a slower one writes later."""

    run_id: UUID
    number: int
    release_id: int
    scope: Scope
    first_image_id: UUID
    last_image_id: UUID
    token: int
    attempts: int
    """How often it was taken, this time included; outages do not count."""


@dataclass(frozen=True, slots=True)
class Work:
    """One image that a run has still to do."""

    lease: Lease
    assessed: bool
    """Whether the release's assessment is stored already, so that nothing has to be scored."""


def claimable() -> ColumnElement[bool]:
    """Return the condition that a chunk may be taken now, of a run that goes on."""
    return and_(
        RescoreChunk.done_at.is_(None),
        or_(RescoreChunk.lease_expires_at.is_(None), RescoreChunk.lease_expires_at <= func.now()),
        or_(RescoreChunk.not_before.is_(None), RescoreChunk.not_before <= func.now()),
    )


def count_waiting(session: Session, limit: int) -> int:
    """Return how many chunks could be taken now, but no more than `limit`."""
    found = (
        select(RescoreChunk.number)
        .join(RescoreRun, RescoreRun.id == RescoreChunk.run_id)
        .where(RescoreRun.state.in_(ACTIVE), claimable())
        .limit(limit)
        .subquery()
    )
    return session.scalar(select(func.count()).select_from(found)) or 0


def acquire(
    session: Session, *, worker_id: UUID, lease_seconds: float, without: Collection[int] = ()
) -> Chunk | None:
    """Claim the next chunk of the oldest run that has one.

    Parameters
    ----------
    without
        Releases with which this worker cannot score.
    """
    going = (
        select(RescoreRun.id)
        .where(RescoreRun.state.in_(ACTIVE), RescoreRun.release_id.not_in(without))
        .order_by(RescoreRun.created_at)
    )
    for run_id in session.scalars(going).all():
        chunk = session.scalar(
            select(RescoreChunk)
            .where(RescoreChunk.run_id == run_id, claimable())
            .order_by(RescoreChunk.number)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        # The run may have been paused or have ended since it was found.
        if chunk is None or (run := _lock_run(session, run_id)).state not in ACTIVE:
            continue
        token = session.scalar(
            update(RescoreChunk)
            .where(RescoreChunk.run_id == run.id, RescoreChunk.number == chunk.number)
            .values(
                lease_token=lease_tokens.next_value(),
                lease_expires_at=func.now() + timedelta(seconds=lease_seconds),
                worker_id=worker_id,
                attempts=RescoreChunk.attempts + 1,
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
            chunk.attempts,
        )
    return None


def remaining(session: Session, chunk: Chunk, limit: int) -> list[Work] | None:
    """Return the next images of a chunk; none once it is done.

    Returns
    -------
    list of Work, or None
        None if the run does not go on, or the lease is lost.
    """
    held = (
        select(RescoreRun.state)
        .join(RescoreChunk, RescoreChunk.run_id == RescoreRun.id)
        .where(RescoreRun.id == chunk.run_id, RescoreChunk.lease_token == chunk.token)
    )
    if session.scalar(held) not in ACTIVE:
        return None
    assessed = exists().where(
        Assessment.release_id == chunk.release_id, Assessment.image_id == Image.id
    )
    given_up = exists().where(
        RescoreFailure.run_id == chunk.run_id,
        RescoreFailure.image_id == Image.id,
        RescoreFailure.reason != SUSPECTED,
    )
    rows = session.execute(
        select(Image.id, Image.case_id, assessed, *METADATA_COLUMNS)
        .join(Case, Case.id == Image.case_id)
        .where(
            Image.id.between(chunk.first_image_id, chunk.last_image_id),
            unscored_by(chunk.release_id),
            within(chunk.scope),
            ~given_up,
        )
        .order_by(Image.id)
        .limit(limit)
    ).all()
    return [
        Work(Lease(image_id, case_id, chunk.token, chunk.attempts, metadata_inputs(inputs)), known)
        for image_id, case_id, known, *inputs in rows
    ]


def lock_held(session: Session, chunk: Chunk) -> RescoreRun | None:
    """Lock the chunk until the caller's transaction ends, and keep its run from ending meanwhile.

    Returns
    -------
    RescoreRun or None
        The run as it is now; None if it has ended, or the lease is lost: nothing may be written.
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
    """Prolong running leases; those being written at this moment need it no more."""
    held = (
        select(RescoreChunk.run_id, RescoreChunk.number)
        .where(RescoreChunk.lease_token.in_(tokens))
        .with_for_update(skip_locked=True)
        .subquery()
    )
    session.execute(
        update(RescoreChunk)
        .where(RescoreChunk.run_id == held.c.run_id, RescoreChunk.number == held.c.number)
        .values(lease_expires_at=func.now() + timedelta(seconds=lease_seconds))
        .execution_options(synchronize_session=False)
    )


def release(session: Session, chunk: Chunk, *, delay: float = 0.0, counts: bool = False) -> None:
    """Return a chunk that is not done.

    Parameters
    ----------
    delay
        Seconds for which nobody is to take it.
    counts
        Whether one of its images may be to blame: whoever takes it then does one at a time.
    """
    session.execute(
        update(RescoreChunk)
        .where(RescoreChunk.lease_token == chunk.token)
        .values(
            lease_token=None,
            lease_expires_at=None,
            worker_id=None,
            attempts=RescoreChunk.attempts - (0 if counts else 1),
            not_before=func.now() + timedelta(seconds=delay),
        )
    )


def close(session: Session, chunk: Chunk) -> None:
    """Mark a chunk as done, of which nothing remains."""
    session.execute(
        update(RescoreChunk)
        .where(RescoreChunk.lease_token == chunk.token)
        .values(lease_token=None, lease_expires_at=None, worker_id=None, done_at=func.now())
    )


def exclude_image(session: Session, chunk: Chunk, image_id: UUID, *, reason: str) -> None:
    """Leave an image out of the run; what it was scored before stands."""
    if lock_held(session, chunk) is not None:
        _note(session, chunk, image_id, reason[:MAX_ERROR], again=reason[:MAX_ERROR])


def mark_suspect(session: Session, chunk: Chunk, image_id: UUID) -> bool:
    """Note that an image goes to the device alone, for whoever takes up the chunk after a death.

    It is tried once more then, since any process may be killed; noted twice, it is left out.
    Whoever comes back from the device takes it up again.

    Returns
    -------
    bool
        False if the run has ended or the lease is lost, so that it must not be tried.
    """
    if lock_held(session, chunk) is None:
        return False
    _note(session, chunk, image_id, SUSPECTED, again=LEFT_OUT)
    return True


def clear_suspects(session: Session, chunk: Chunk, image_ids: Collection[UUID]) -> None:
    """Clear images of having killed their worker; the caller holds the chunk."""
    session.execute(
        delete(RescoreFailure).where(
            RescoreFailure.run_id == chunk.run_id,
            RescoreFailure.image_id.in_(image_ids),
            RescoreFailure.reason.in_((SUSPECTED, LEFT_OUT)),
        )
    )


def _note(session: Session, chunk: Chunk, image_id: UUID, reason: str, *, again: str) -> None:
    session.execute(
        insert(RescoreFailure)
        .values(run_id=chunk.run_id, image_id=image_id, reason=reason)
        .on_conflict_do_update(index_elements=["run_id", "image_id"], set_={"reason": again})
    )


def _lock_run(session: Session, run_id: UUID) -> RescoreRun:
    """Return a run as it is now, and let nobody pause or end it until the transaction ends.

    Workers do not wait for each other: only who means to change the run's state locks it whole.
    """
    return session.scalars(
        select(RescoreRun)
        .where(RescoreRun.id == run_id)
        .with_for_update(read=True, key_share=True)
        .execution_options(populate_existing=True)
    ).one()

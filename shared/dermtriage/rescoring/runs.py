"""Where rescore runs stand: find them, let them stand still and go on, and see how far they are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from dermtriage.core.enums import ACTIVE, RunState
from dermtriage.core.errors import Conflict, NotFound
from dermtriage.core.validation import check_text
from dermtriage.models import MAX_REASON, RescoreChunk, RescoreFailure, RescoreRun


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    images: int
    """In scope when it was planned."""
    scored: int
    failed: int
    upgrades: int
    recalls: int
    chunks: int
    chunks_done: int


def find_run(session: Session, run_id: UUID, *, lock: bool = False) -> RescoreRun:
    """Return a run as the database has it now.

    Raises
    ------
    NotFound
        If there is none.
    """
    statement = (
        select(RescoreRun).where(RescoreRun.id == run_id).execution_options(populate_existing=True)
    )
    run = session.scalar(statement.with_for_update() if lock else statement)
    if run is None:
        raise NotFound(
            "There is no such run.", remedy="See `dermtriage rescore list`.", code="run_not_found"
        )
    return run


def list_runs(session: Session, *, limit: int) -> Sequence[RescoreRun]:
    """Return the newest runs, the newest first."""
    return session.scalars(
        select(RescoreRun).order_by(RescoreRun.created_at.desc(), RescoreRun.id.desc()).limit(limit)
    ).all()


def awaits_confirmation(run: RescoreRun) -> bool:
    """Whether a run stands still because of its recalls, until someone confirms them."""
    return run.state is RunState.PAUSED and run.recalls_confirmed is False


def require_confirmed(session: Session, release_id: int) -> None:
    """Refuse to go round a run of the same release whose recalls await confirmation.

    Raises
    ------
    Conflict
        If there is one.
    """
    doubted = session.scalar(
        select(RescoreRun.id)
        .where(
            RescoreRun.release_id == release_id,
            RescoreRun.state == RunState.PAUSED,
            RescoreRun.recalls_confirmed.is_(False),
        )
        .limit(1)
    )
    if doubted is not None:
        raise Conflict(
            f"Run {doubted} of the same release has recalled many cases, and nobody has confirmed"
            " that this is right.",
            remedy=f"Confirm it with `dermtriage rescore resume {doubted}`, or end it with"
            f" `dermtriage rescore cancel {doubted}`.",
            code="recalls_unconfirmed",
        )


def pause(session: Session, run_id: UUID, *, reason: str) -> RescoreRun:
    """Have workers take no more of a run; batches that are on their way are still written.

    Raises
    ------
    NotFound
        If there is no such run.
    Conflict
        If it does not go on.
    RequestRejected
        If the reason is blank or too long.
    """
    check_text("reason", reason, MAX_REASON)
    return _become(session, run_id, ACTIVE, RunState.PAUSED, reason)


def resume(session: Session, run_id: UUID) -> RescoreRun:
    """Let a paused run go on; if its recalls stopped it, this confirms them.

    A run that was paused for another reason is still stopped by many recalls.
    """
    run = _become(session, run_id, (RunState.PAUSED,), RunState.RUNNING, None)
    if run.recalls_confirmed is False:
        run.recalls_confirmed = True
    return run


def remark(session: Session, run_id: UUID, *, reason: str) -> None:
    """Say of a run that goes on what keeps a worker from taking part in it."""
    session.execute(
        update(RescoreRun)
        .where(RescoreRun.id == run_id, RescoreRun.state.in_(ACTIVE))
        .values(reason=reason[:MAX_REASON])
    )


def _become(
    session: Session,
    run_id: UUID,
    before: Collection[RunState],
    after: RunState,
    reason: str | None,
) -> RescoreRun:
    run = find_run(session, run_id, lock=True)
    require_state(run, before)
    run.state, run.reason = after, reason
    return run


def require_state(run: RescoreRun, states: Collection[RunState]) -> None:
    """Refuse what does not fit the state of a run.

    Raises
    ------
    Conflict
        If the run is in none of these states.
    """
    if run.state not in states:
        wanted = " or ".join(state.value for state in states)
        raise Conflict(
            f"The run is {run.state.value}, not {wanted}.",
            remedy="See `dermtriage rescore list`.",
            code="run_state",
        )


def require_report(run: RescoreRun) -> None:
    """Refuse a run that has no report yet.

    Raises
    ------
    Conflict
        If it has not ended, or its report is being written.
    """
    if run.report is None:
        raise Conflict(
            f"The run is {run.state.value}: it has no report yet.",
            remedy="Watch it with `dermtriage rescore watch`.",
            code="run_state",
        )


def progress(session: Session, run: RescoreRun) -> Progress:
    """Return how far a run is."""
    scored, upgrades, recalls, count, done = session.execute(
        select(
            func.coalesce(func.sum(RescoreChunk.scored), 0),
            func.coalesce(func.sum(RescoreChunk.upgrades), 0),
            func.coalesce(func.sum(RescoreChunk.recalls), 0),
            func.count(),
            func.count(RescoreChunk.done_at),
        ).where(RescoreChunk.run_id == run.id)
    ).one()
    failed = session.scalar(
        select(func.count()).select_from(RescoreFailure).where(RescoreFailure.run_id == run.id)
    )
    return Progress(
        images=run.images,
        scored=int(scored),
        failed=failed or 0,
        upgrades=int(upgrades),
        recalls=int(recalls),
        chunks=count,
        chunks_done=done,
    )

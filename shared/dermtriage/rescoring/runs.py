"""Find rescore runs, and read their progress."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dermtriage.core.enums import RunState
from dermtriage.core.errors import Conflict, NotFound
from dermtriage.models import RescoreChunk, RescoreFailure, RescoreRun


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of a run; `images` is how many were in scope when it was planned."""

    images: int
    scored: int
    failed: int
    upgrades: int
    recalls: int
    chunks: int
    chunks_done: int


def find_run(session: Session, run_id: UUID, *, lock: bool = False) -> RescoreRun:
    """Return a run as the database has it now.

    Parameters
    ----------
    lock
        Whether to lock it until the caller's transaction ends.

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


def require_state(run: RescoreRun, states: Collection[RunState]) -> None:
    """Check the state of a run.

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
    """Check that a run has its report.

    Raises
    ------
    Conflict
        If the run has not ended, or its report is still being written.
    """
    if run.report is None:
        raise Conflict(
            f"The run is {run.state.value}: it has no report yet.",
            remedy="Watch it with `dermtriage rescore watch`.",
            code="run_state",
        )


def progress(session: Session, run: RescoreRun) -> Progress:
    """Return the progress of a run."""
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

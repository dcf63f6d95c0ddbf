"""Change the state of a rescore run: pause, resume, cancel, fail, finish.

A run ends at once; its report may take minutes, and is written later (`reports`).
"""

import logging
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from dermtriage.core.enums import ACTIVE, RunState
from dermtriage.core.validation import check_text
from dermtriage.models import MAX_REASON, RescoreChunk, RescoreRun
from dermtriage.rescoring.runs import find_run, require_state

logger = logging.getLogger(__name__)


def pause(session: Session, run_id: UUID, *, reason: str) -> RescoreRun:
    """Let workers take no more chunks of a run; batches that are being scored are still written.

    Raises
    ------
    NotFound
        If there is no such run.
    Conflict
        If it is not active.
    RequestRejected
        If the reason is blank or too long.
    """
    check_text("reason", reason, MAX_REASON)
    run = find_run(session, run_id, lock=True)
    require_state(run, ACTIVE)
    run.state, run.reason = RunState.PAUSED, reason
    return run


def resume(session: Session, run_id: UUID) -> RescoreRun:
    """Make a paused run active again; if it was paused for its recalls, this confirms them.

    A run that was paused for another reason can still be paused for its recalls later.

    Raises
    ------
    NotFound
        If there is no such run.
    Conflict
        If it is not paused.
    """
    run = find_run(session, run_id, lock=True)
    require_state(run, (RunState.PAUSED,))
    run.state, run.reason = RunState.RUNNING, None
    if run.recalls_confirmed is False:
        run.recalls_confirmed = True
    return run


def set_reason(session: Session, run_id: UUID, *, reason: str) -> None:
    """Record on an active run why a worker cannot take part in it; a long reason is cut."""
    session.execute(
        update(RescoreRun)
        .where(RescoreRun.id == run_id, RescoreRun.state.in_(ACTIVE))
        .values(reason=reason[:MAX_REASON])
    )


def finish_completed(session: Session, *, now: datetime) -> list[UUID]:
    """End the active runs of which every chunk is done, and return their ids."""
    completed = session.scalars(
        select(RescoreRun)
        .where(
            RescoreRun.state.in_(ACTIVE),
            ~select(RescoreChunk.number)
            .where(RescoreChunk.run_id == RescoreRun.id, RescoreChunk.done_at.is_(None))
            .exists(),
        )
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    for run in completed:
        _end(run, RunState.FINISHED, None, now)
    return [run.id for run in completed]


def cancel(session: Session, run_id: UUID, *, reason: str, now: datetime) -> RescoreRun:
    """End a run early; what it has scored is kept.

    Raises
    ------
    NotFound
        If there is no such run.
    Conflict
        If it has ended.
    RequestRejected
        If the reason is blank or too long.
    """
    check_text("reason", reason, MAX_REASON)
    run = find_run(session, run_id, lock=True)
    require_state(run, (*ACTIVE, RunState.PAUSED))
    _end(run, RunState.CANCELLED, reason, now)
    return run


def fail(session: Session, run_id: UUID, *, reason: str, now: datetime) -> bool:
    """End a run that cannot continue; a long reason is cut.

    Returns
    -------
    bool
        False if it had ended already.

    Raises
    ------
    NotFound
        If there is no such run.
    """
    run = find_run(session, run_id, lock=True)
    if run.ended_at is not None:
        return False
    _end(run, RunState.FAILED, reason[:MAX_REASON], now)
    return True


def _end(run: RescoreRun, state: RunState, reason: str | None, now: datetime) -> None:
    run.state, run.reason, run.ended_at = state, reason, now
    logger.info("run ended", extra={"run_id": run.id, "state": state.value})

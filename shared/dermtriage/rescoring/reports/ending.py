"""The end of a rescore run: finished, cancelled or failed; and after it, its report.

A run ends in a moment, and its report may take minutes: nobody who scores waits for it.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from dermtriage.core.enums import ACTIVE, RunState, Severity
from dermtriage.core.validation import check_text
from dermtriage.models import MAX_REASON, Release, RescoreChunk, RescoreFailure, RescoreRun
from dermtriage.rescoring import runs
from dermtriage.rescoring.reports import figures
from dermtriage.rescoring.reports.report import Failure, RunReport, Transition

logger = logging.getLogger(__name__)


def finish_done(session: Session, *, now: datetime) -> list[UUID]:
    """End the runs of which no chunk is left."""
    done = session.scalars(
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
    return [_end(run, RunState.FINISHED, None, now).id for run in done]


def cancel(session: Session, run_id: UUID, *, reason: str, now: datetime) -> RescoreRun:
    """End a run early; what it has done stays.

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
    run = runs.find_run(session, run_id, lock=True)
    runs.require_state(run, (*ACTIVE, RunState.PAUSED))
    return _end(run, RunState.CANCELLED, reason, now)


def fail(session: Session, run_id: UUID, *, reason: str, now: datetime) -> RescoreRun | None:
    """End a run that cannot go on; None if it has ended already."""
    run = runs.find_run(session, run_id, lock=True)
    if run.ended_at is not None:
        return None
    return _end(run, RunState.FAILED, reason[:MAX_REASON], now)


def without_report(session: Session) -> Sequence[UUID]:
    """Return the runs that have ended and have no report yet, the first that ended first."""
    return session.scalars(
        select(RescoreRun.id)
        .where(RescoreRun.ended_at.is_not(None), RescoreRun.report.is_(None))
        .order_by(RescoreRun.ended_at)
    ).all()


def write_report(session: Session, run_id: UUID) -> None:
    """Write the report of a run that has ended and has none.

    One is written at a time, since each reads much: while somebody else writes any, nothing is
    done. The run is not locked meanwhile: its workers would wait, to learn that it has ended.

    Raises
    ------
    NotFound
        If there is no such run.
    """
    alone = text("SELECT pg_try_advisory_xact_lock(hashtext('dermtriage.rescore_reports'))")
    if not session.scalar(alone):
        return
    run = runs.find_run(session, run_id)
    if run.ended_at is None or run.report is not None:
        return
    report = _report(session, run, run.ended_at)
    run.report = report.model_dump(mode="json")
    logger.info("report written", extra={"run_id": run.id, "images": report.scored})


def _end(run: RescoreRun, state: RunState, reason: str | None, now: datetime) -> RescoreRun:
    run.state, run.reason, run.ended_at = state, reason, now
    logger.info("run ended", extra={"run_id": run.id, "state": state.value})
    return run


def _report(session: Session, run: RescoreRun, ended_at: datetime) -> RunReport:
    # A large run takes longer to look through than any other transaction may take.
    session.execute(text("SET LOCAL statement_timeout = '15min'"))
    release = session.get_one(Release, run.release_id, populate_existing=True)
    progress = runs.progress(session, run)
    working = figures.working_time(session, run).total_seconds()
    rises, recalls = figures.rises(session, run)
    return RunReport(
        release=release.name,
        triaged=release.mode == "active",
        state=run.state,
        images=run.images,
        scored=progress.scored,
        failed=progress.failed,
        upgrades=rises.total() - recalls,
        recalls=recalls,
        started_at=run.started_at,
        ended_at=ended_at,
        seconds=(ended_at - run.started_at).total_seconds() if run.started_at else 0.0,
        working_seconds=working,
        images_per_second=progress.scored / working if working > 0 else None,
        transitions=[
            Transition(before=before.value, after=after.value, cases=rises[before, after])
            for before in Severity
            for after in Severity
            if rises[before, after]
        ],
        failures=[
            Failure(reason=reason, images=count)
            for reason, count in session.execute(
                select(RescoreFailure.reason, func.count())
                .where(RescoreFailure.run_id == run.id)
                .group_by(RescoreFailure.reason)
                .order_by(func.count().desc(), RescoreFailure.reason)
            )
        ],
        drift=figures.drift(session, run),
    )

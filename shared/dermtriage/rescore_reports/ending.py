"""The end of a rescore run: finished, cancelled or failed, with its report."""

import logging
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from dermtriage import runs
from dermtriage.models import Release, RescoreChunk, RescoreFailure, RescoreRun
from dermtriage.rescore_reports import figures
from dermtriage.rescore_reports.report import Failure, RunReport, Transition
from dermtriage.states import GOING, RunState, Severity

logger = logging.getLogger(__name__)


def finish_done(session: Session, *, now: datetime) -> list[UUID]:
    """End the runs of which no chunk is left, and write their reports."""
    done = session.scalars(
        select(RescoreRun.id)
        .where(
            RescoreRun.state.in_(GOING),
            ~select(RescoreChunk.number)
            .where(RescoreChunk.run_id == RescoreRun.id, RescoreChunk.done_at.is_(None))
            .exists(),
        )
        .with_for_update(skip_locked=True)
    ).all()
    ended = []
    for run_id in done:
        try:
            # A run whose report cannot be written must not keep the others from their end.
            with session.begin_nested():
                _end(session, runs.find_run(session, run_id), RunState.FINISHED, None, now)
        except Exception as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            logger.exception("run could not be ended", extra={"run_id": run_id})
        else:
            ended.append(run_id)
    return ended


def cancel(session: Session, run_id: UUID, *, reason: str, now: datetime) -> RescoreRun:
    """End a run early; what it has done stays.

    Raises
    ------
    NotFound
        If there is no such run.
    Conflict
        If it has ended.
    """
    run = runs.find_run(session, run_id, lock=True)
    runs.require_state(run, (*GOING, RunState.PAUSED))
    return _end(session, run, RunState.CANCELLED, reason, now)


def fail(session: Session, run_id: UUID, *, reason: str, now: datetime) -> RescoreRun | None:
    """End a run that cannot go on; None if it has ended already."""
    run = runs.find_run(session, run_id, lock=True)
    if run.ended_at is not None:
        return None
    return _end(session, run, RunState.FAILED, reason, now)


def _end(
    session: Session, run: RescoreRun, state: RunState, reason: str | None, now: datetime
) -> RescoreRun:
    report = _report(session, run, state, now)
    run.state, run.reason, run.ended_at = state, reason, now
    run.report = report.model_dump(mode="json")
    logger.info(
        "run ended",
        extra={"run_id": run.id, "state": state.value, "images": report.scored},
    )
    return run


def _report(session: Session, run: RescoreRun, state: RunState, now: datetime) -> RunReport:
    # A large run takes longer to look through than any other transaction may take.
    session.execute(text("SET LOCAL statement_timeout = '15min'"))
    release = session.get_one(Release, run.release_id, populate_existing=True)
    progress = runs.progress(session, run)
    working = figures.working_time(session, run).total_seconds()
    rises, recalls = figures.rises(session, run)
    return RunReport(
        release=release.name,
        triaged=release.mode == "active",
        state=state,
        images=run.images,
        scored=progress.scored,
        failed=progress.failed,
        upgrades=rises.total() - recalls,
        recalls=recalls,
        started_at=run.started_at,
        ended_at=now,
        seconds=(now - run.started_at).total_seconds() if run.started_at else 0.0,
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

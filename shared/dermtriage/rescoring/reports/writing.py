"""Write the reports of rescore runs that have ended.

A report may take minutes, so it is written after the run's end, without a lock on the run.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from dermtriage.core.enums import Severity
from dermtriage.models import Release, RescoreFailure, RescoreRun
from dermtriage.rescoring import runs
from dermtriage.rescoring.reports.case_changes import count_raised_cases
from dermtriage.rescoring.reports.drift import measure_drift
from dermtriage.rescoring.reports.report import Failure, RunReport, Transition
from dermtriage.rescoring.reports.working_time import working_time

logger = logging.getLogger(__name__)


def runs_without_report(session: Session) -> Sequence[UUID]:
    """Return the runs that have ended and have no report yet, the first that ended first."""
    return session.scalars(
        select(RescoreRun.id)
        .where(RescoreRun.ended_at.is_not(None), RescoreRun.report.is_(None))
        .order_by(RescoreRun.ended_at)
    ).all()


def write_report(session: Session, run_id: UUID) -> None:
    """Write the report of a run, if the run has ended and has none.

    Reports read many rows, so only one is written at a time: while another transaction writes
    one, of whatever run, this does nothing. The run's row is not locked while its report is
    computed, since its workers would wait for that lock only to learn that the run has ended.

    Raises
    ------
    NotFound
        If there is no such run.
    """
    locked = text("SELECT pg_try_advisory_xact_lock(hashtext('dermtriage.rescore_reports'))")
    if not session.scalar(locked):
        return
    run = runs.find_run(session, run_id)
    if run.ended_at is None or run.report is not None:
        return
    report = _report(session, run, run.ended_at)
    run.report = report.model_dump(mode="json")
    logger.info("report written", extra={"run_id": run.id, "images": report.scored})


def _report(session: Session, run: RescoreRun, ended_at: datetime) -> RunReport:
    # The report of a large run takes longer than any other transaction is allowed to.
    session.execute(text("SET LOCAL statement_timeout = '15min'"))
    release = session.get_one(Release, run.release_id, populate_existing=True)
    progress = runs.progress(session, run)
    working = working_time(session, run).total_seconds()
    raised, recalls = count_raised_cases(session, run)
    return RunReport(
        release=release.name,
        triaged=release.mode == "active",
        state=run.state,
        images=run.images,
        scored=progress.scored,
        failed=progress.failed,
        upgrades=raised.total() - recalls,
        recalls=recalls,
        started_at=run.started_at,
        ended_at=ended_at,
        seconds=(ended_at - run.started_at).total_seconds() if run.started_at else 0.0,
        working_seconds=working,
        images_per_second=progress.scored / working if working > 0 else None,
        transitions=[
            Transition(before=before.value, after=after.value, cases=raised[before, after])
            for before in Severity
            for after in Severity
            if raised[before, after]
        ],
        failures=_failures(session, run),
        drift=measure_drift(session, run),
    )


def _failures(session: Session, run: RescoreRun) -> list[Failure]:
    """Return the reasons of failure, the most frequent first."""
    rows = session.execute(
        select(RescoreFailure.reason, func.count())
        .where(RescoreFailure.run_id == run.id)
        .group_by(RescoreFailure.reason)
        .order_by(func.count().desc(), RescoreFailure.reason)
    )
    return [Failure(reason=reason, images=count) for reason, count in rows]

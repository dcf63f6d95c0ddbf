"""Watch a rescore run until it has its report."""

import time
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.clock import utcnow
from dermtriage.core.enums import RunState
from dermtriage.core.settings import Settings
from dermtriage.models import RescoreRun
from dermtriage.rescoring import lifecycle, runs
from dermtriage.rescoring.reports.writing import write_report
from dermtriage_cli.terminal.output import err
from dermtriage_cli.views.rescore_progress import RescoreProgressBar

_INTERVAL = 0.5
"""Seconds between two reads of the run."""


def watch_run(sessions: sessionmaker[Session], settings: Settings, run_id: UUID) -> RescoreRun:
    """Show the progress of a run until it is paused, or has ended and has its report.

    Each read is a transaction of its own.
    """
    with RescoreProgressBar(err) as bar:
        while True:
            with sessions.begin() as session:
                # Upkeep also ends runs and writes their reports, but perhaps later.
                lifecycle.finish_completed(session, now=utcnow())
                run = runs.find_run(session, run_id)
                progress = runs.progress(session, run)
            bar.update(run, progress)
            if run.state is RunState.PAUSED or run.report is not None:
                return run
            if run.ended_at is not None:
                with sessions.begin() as session:
                    write_report(session, run_id)
            time.sleep(min(_INTERVAL, settings.recovery_seconds))

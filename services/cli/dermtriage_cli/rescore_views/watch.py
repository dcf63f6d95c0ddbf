"""Watch a rescore run: photographs a second, time left, upgrades so far."""

import time
from uuid import UUID

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.clock import utcnow
from dermtriage.core.enums import RunState
from dermtriage.core.settings import Settings
from dermtriage.models import RescoreRun
from dermtriage.rescoring import reports, runs
from dermtriage_cli.output import err

_SECONDS = 0.5
"""Between two looks."""


def watch_run(sessions: sessionmaker[Session], settings: Settings, run_id: UUID) -> RescoreRun:
    """Show a run's progress until it has ended and has its report, or stands still; return it.

    Each look is a transaction of its own.
    """
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[changes]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=err,
    ) as bars:
        task = bars.add_task("Rescoring", total=None, rate="", changes="")
        began, scored_before = time.monotonic(), None
        rate, ended = 0.0, False
        while True:
            with sessions.begin() as session:
                # Upkeep ends runs and writes reports as well, but perhaps a while later.
                reports.finish_done(session, now=utcnow())
                run = runs.find_run(session, run_id)
                progress = runs.progress(session, run)
            done = progress.scored + progress.failed
            if scored_before is None:
                scored_before = done
            seconds = time.monotonic() - began
            if seconds > _SECONDS and not ended:
                rate = (done - scored_before) / seconds
            # The time that the report takes is no part of the pace.
            ended = run.ended_at is not None
            writing = ended and run.report is None
            bars.update(
                task,
                # What keeps a worker from taking part is said while the run goes on.
                description="Writing the report" if writing else escape(run.reason or "Rescoring"),
                total=run.images,
                completed=done,
                rate=f"{rate:,.1f} a second",
                changes=f"{progress.upgrades:,} upgrades, {progress.recalls:,} recalls",
            )
            if run.state is RunState.PAUSED or run.report is not None:
                return run
            if writing:
                with sessions.begin() as session:
                    reports.write_report(session, run_id)
            time.sleep(min(_SECONDS, settings.recovery_seconds))

"""The progress of a rescore run: photographs per second, time left, upgrades so far."""

from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dermtriage.models import RescoreRun
from dermtriage.rescoring.runs import Progress as RunProgress

_FIRST_RATE_AFTER = 0.5
"""Seconds after which there is enough to count photographs per second from."""


class RescoreProgressBar:
    """Shows the progress of one run on a console.

    Parameters
    ----------
    console
        Where to draw; its clock measures the photographs per second.
    """

    def __init__(self, console: Console) -> None:
        self._clock = console.get_time
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[changes]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
        )
        self._task = self._bars.add_task("Rescoring", total=None, rate="", changes="")
        self._started_at = self._clock()
        self._done_at_start: int | None = None
        self._rate = 0.0
        self._ended = False

    def __enter__(self) -> Self:
        """Start drawing."""
        self._bars.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Stop drawing."""
        self._bars.stop()

    def __rich__(self) -> RenderableType:
        """Return what is drawn."""
        return self._bars.get_renderable()

    def update(self, run: RescoreRun, progress: RunProgress) -> None:
        """Show the state of the run."""
        done = progress.scored + progress.failed
        if self._done_at_start is None:
            self._done_at_start = done
        seconds = self._clock() - self._started_at
        # The time that the report takes does not count.
        if seconds > _FIRST_RATE_AFTER and not self._ended:
            self._rate = (done - self._done_at_start) / seconds
        self._ended = run.ended_at is not None
        writing_report = self._ended and run.report is None
        self._bars.update(
            self._task,
            # A running run has a reason if workers cannot take part in it.
            description="Writing the report"
            if writing_report
            else escape(run.reason or "Rescoring"),
            total=run.images,
            completed=done,
            rate=f"{self._rate:,.1f} per second",
            changes=f"{progress.upgrades:,} upgrades, {progress.recalls:,} recalls",
        )

"""The progress bar of a rescore run: pace, time left, upgrades."""

from datetime import UTC, datetime
from io import StringIO

from rich.console import Console

from dermtriage.models import RescoreRun
from dermtriage.rescoring.runs import Progress
from dermtriage_cli.views.rescore_progress import RescoreProgressBar


def test_the_bar_shows_pace_upgrades_and_the_time_left() -> None:
    seconds, screen = 0.0, StringIO()
    console = Console(file=screen, width=160, get_time=lambda: seconds)
    bar = RescoreProgressBar(console)

    def update(done: int, *, ended: bool = False) -> str:
        run = RescoreRun(images=10, ended_at=datetime(2026, 3, 2, tzinfo=UTC) if ended else None)
        bar.update(
            run,
            Progress(
                images=10,
                scored=done,
                failed=0,
                upgrades=min(done, 2),
                recalls=0,
                chunks=5,
                chunks_done=done // 2,
            ),
        )
        screen.seek(0)
        screen.truncate()
        console.print(bar)
        return " ".join(screen.getvalue().replace("━", "").split())

    lines = []
    for done in (0, 2, 4, 6, 8, 10):
        lines.append(update(done, ended=done == 10))
        seconds += 2
    # Done, pace, changes, time so far and time left; the pace is unknown at first.
    assert lines[:3] == [
        "Rescoring 0/10 0.0 per second 0 upgrades, 0 recalls 0:00:00 -:--:--",
        "Rescoring 2/10 1.0 per second 2 upgrades, 0 recalls 0:00:02 -:--:--",
        "Rescoring 4/10 1.0 per second 2 upgrades, 0 recalls 0:00:04 0:00:06",
    ]
    # The time that the report takes does not count.
    writing = "Writing the report 10/10 1.0 per second 2 upgrades, 0 recalls 0:00:10 0:00:00"
    assert [lines[-1], update(10, ended=True), update(10, ended=True)] == [writing] * 3


def test_a_reason_is_shown_in_place_of_the_title() -> None:
    screen = StringIO()
    bar = RescoreProgressBar(Console(file=screen, width=160))
    progress = Progress(
        images=1, scored=0, failed=0, upgrades=0, recalls=0, chunks=1, chunks_done=0
    )
    bar.update(RescoreRun(images=1, reason="No worker has [it]."), progress)
    Console(file=screen, width=160).print(bar)
    assert "No worker has [it]." in screen.getvalue()

"""The report of a rescore run in the terminal and as an HTML page."""

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from dermtriage.rescoring.reports.report import BINS, RunReport
from dermtriage_cli.views.rescore_report.page import run_page
from dermtriage_cli.views.rescore_report.tables import report_tables
from dermtriage_cli.views.rescore_report.wording import duration

ENDED = datetime(2026, 11, 24, 9, 5, tzinfo=UTC)
RUN = UUID("019ac2c4-7a54-7d5c-9b1c-6f0a5f1f3e11")

# A report of an earlier version, without the releases that it was compared with.
EARLIER: dict[str, Any] = {
    "release": "2026.11",
    "triaged": True,
    "state": "finished",
    "images": 1240,
    "scored": 1234,
    "failed": 6,
    "upgrades": 1040,
    "recalls": 2,
    "started_at": (ENDED - timedelta(hours=8)).isoformat(),
    "ended_at": ENDED.isoformat(),
    "seconds": 28800.0,
    "images_per_second": 0.04,
    "transitions": [
        {"before": "low", "after": "severe", "cases": 12},
        {"before": "low", "after": "indeterminate", "cases": 1029},
        {"before": "unscored", "after": "severe", "cases": 1},
    ],
    "failures": [{"reason": "It cannot be [decoded].", "images": 6}],
    "drift": {
        "photographs": 1200,
        "mean": -0.012,
        "mean_absolute": 0.034,
        "histogram": [0] * 9 + [700, 500] + [0] * 9,
    },
}
NOW = EARLIER | {
    "working_seconds": 312.0,
    "images_per_second": 3.955,
    "drift": EARLIER["drift"]
    | {
        "compared": [
            {"release": "2026.09", "photographs": 1190},
            {"release": "2026.10", "photographs": 10},
        ]
    },
}


def printed(report: dict[str, Any], width: int = 80) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width)
    for part in report_tables(RunReport.model_validate(report)):
        console.print(part)
    return file.getvalue()


def words(report: dict[str, Any]) -> str:
    return " ".join(printed(report).split())


def page(report: dict[str, Any]) -> str:
    return run_page(RunReport.model_validate(report), RUN)


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split("[│┃]", row) if cell.strip()]


def test_the_matrix_has_a_row_and_a_column_for_each_severity() -> None:
    lines = [cells(line) for line in printed(NOW).splitlines()]
    assert ["From \\ to", "severe", "unscored", "indeterminate", "low"] in lines
    assert ["severe", "-", "-", "-", "-"] in lines
    assert ["unscored", "1", "-", "-", "-"] in lines
    assert ["low", "12", "-", "1,029", "-"] in lines


def test_the_page_has_the_same_matrix() -> None:
    (row,) = re.findall(r'<tr><th scope="row">low</th>(.*)</tr>', page(NOW))
    assert re.findall(r"<td>([^<]*)</td>", row) == ["12", "\N{EN DASH}", "1,029", "\N{EN DASH}"]


def test_a_narrow_terminal_cuts_nothing() -> None:
    text = printed(NOW)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "It cannot be [decoded]." in text
    summary = [cells(line) for line in text.splitlines()]
    assert ["1,240", "1,234", "6", "1,040", "2"] in summary
    assert "8 h 00 min, 5 min 12 s of it working: 4.0 photographs per second." in words(NOW)


@pytest.mark.parametrize("shown", [words, page])
def test_a_report_names_compared_releases_and_counted_time(shown: Any) -> None:
    text = shown(NOW)
    assert "over 1,200 of 1,234 scored photographs." in text
    assert "Compared with 2026.09 (1,190), 2026.10 (10)." in text
    assert "those that another run with the same release may have scored" in text
    assert "Pauses of more than 10 minutes without a result are not counted as work." in text
    assert "not active" not in text
    nothing = {"photographs": 0, "mean": None, "mean_absolute": None, "histogram": [0] * BINS}
    assert "None of the 1,234 scored photographs has a score" in shown(NOW | {"drift": nothing})


@pytest.mark.parametrize("shown", [words, page])
def test_a_report_of_an_earlier_version_can_be_read(shown: Any) -> None:
    text = shown(EARLIER)
    assert "over 1,200 of 1,234 scored photographs. Compared with the release before." in text
    assert "Waiting time is counted." in text
    assert "Left out are" not in text


@pytest.mark.parametrize("shown", [words, page])
def test_a_replaced_release_keeps_the_changes_that_it_made(shown: Any) -> None:
    text = shown(NOW | {"triaged": False})
    assert (
        "was not active when the report was written. Changes that it made while it was active stay."
        in text
    )
    assert "It changed no case" in shown(NOW | {"triaged": False, "transitions": []})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (4000, "1 h 06 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text

"""The report of a rescore run as tables."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from dermtriage.rescoring.reports.report import RunReport
from dermtriage_cli.views.formatting import SEVERITIES, severity_markup
from dermtriage_cli.views.rescore_report.wording import (
    drift_sentence,
    duration,
    throughput_sentence,
    triage_sentence,
)


def report_tables(report: RunReport) -> list[Any]:
    """Return what people read of a report, from top to bottom."""
    parts: list[Any] = [_summary(report), _throughput(report)]
    if report.transitions:
        parts.append(_matrix(report))
    if report.failures:
        failures = Table("Reason", title="Failures")
        failures.add_column("Photographs", justify="right")
        for failure in report.failures:
            failures.add_row(escape(failure.reason), f"{failure.images:,}")
        parts.append(failures)
    parts.append(escape(drift_sentence(report)))
    if (note := triage_sentence(report)) is not None:
        parts.append(note)
    return parts


def _summary(report: RunReport) -> Table:
    summary = Table(title=f"Run with release {escape(report.release)}: {report.state}")
    for heading in ("Photographs", "Scored", "Failed", "Upgrades", "Recalls"):
        summary.add_column(heading, justify="right")
    counts = (report.images, report.scored, report.failed, report.upgrades, report.recalls)
    summary.add_row(*(f"{count:,}" for count in counts))
    return summary


def _throughput(report: RunReport) -> str:
    text = f"Took {duration(report.seconds)}"
    if report.working_seconds is not None:
        text += f", {duration(report.working_seconds)} of it working"
    if report.images_per_second is not None:
        text += f": {report.images_per_second:,.1f} photographs per second"
    return f"{text}. {throughput_sentence(report)}"


def _matrix(report: RunReport) -> Table:
    moves = Table("From \\ to", title="Cases with a higher severity")
    for after in SEVERITIES:
        moves.add_column(severity_markup(after), justify="right")
    for before in SEVERITIES:
        cells = (report.matrix[before][after] for after in SEVERITIES)
        moves.add_row(severity_markup(before), *(f"{cases:,}" if cases else "-" for cases in cells))
    return moves

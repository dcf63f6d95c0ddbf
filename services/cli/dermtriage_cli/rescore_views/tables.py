"""The report of a rescore run as tables."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from dermtriage.rescoring.reports import RunReport
from dermtriage_cli.rescore_views.wording import duration, on_drift, on_throughput, on_triage
from dermtriage_cli.views import SEVERITIES, coloured


def report_tables(report: RunReport) -> list[Any]:
    """Return what people read of a report, from top to bottom."""
    parts: list[Any] = [_summary(report), _pace(report)]
    if report.transitions:
        parts.append(_matrix(report))
    if report.failures:
        failures = Table("Not scored because", title="Failures")
        failures.add_column("Photographs", justify="right")
        for failure in report.failures:
            failures.add_row(escape(failure.reason), f"{failure.images:,}")
        parts.append(failures)
    parts.append(escape(on_drift(report)))
    if (note := on_triage(report)) is not None:
        parts.append(note)
    return parts


def _summary(report: RunReport) -> Table:
    summary = Table(title=f"Run with release {escape(report.release)}: {report.state}")
    for heading in ("Photographs", "Scored", "Failed", "Upgrades", "Recalls"):
        summary.add_column(heading, justify="right")
    counts = (report.images, report.scored, report.failed, report.upgrades, report.recalls)
    summary.add_row(*(f"{count:,}" for count in counts))
    return summary


def _pace(report: RunReport) -> str:
    said = f"Took {duration(report.seconds)}"
    if report.working_seconds is not None:
        said += f", {duration(report.working_seconds)} of it at work"
    if report.images_per_second is not None:
        said += f": {report.images_per_second:,.1f} photographs a second"
    return f"{said}. {on_throughput(report)}"


def _matrix(report: RunReport) -> Table:
    moves = Table("From \\ to", title="Cases that rose")
    for after in SEVERITIES:
        moves.add_column(coloured(after), justify="right")
    for before in SEVERITIES:
        cells = (report.matrix[before][after] for after in SEVERITIES)
        moves.add_row(coloured(before), *(f"{cases:,}" if cases else "-" for cases in cells))
    return moves

"""The report of a rescore run as tables."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from dermtriage.rescore_reports import RunReport
from dermtriage_cli.views import coloured


def report_tables(report: RunReport) -> list[Any]:
    """Return what people read of a report, from top to bottom."""
    rate = report.images_per_second
    summary = Table(title=f"Run with release {escape(report.release)}: {report.state}")
    for heading in ("Photographs", "Scored", "Failed", "Upgrades", "Recalls", "Took", "A second"):
        summary.add_column(heading, justify="right")
    summary.add_row(
        *(
            f"{count:,}"
            for count in (
                report.images,
                report.scored,
                report.failed,
                report.upgrades,
                report.recalls,
            )
        ),
        f"{report.seconds:,.0f} s",
        f"{rate:,.1f}" if rate is not None else "",
    )
    parts: list[Any] = [summary]
    if report.transitions:
        moves = Table("From", "To", title="Cases that moved")
        moves.add_column("Cases", justify="right")
        for move in report.transitions:
            moves.add_row(coloured(move.before), coloured(move.after), f"{move.cases:,}")
        parts.append(moves)
    if report.failures:
        failures = Table("Not scored because", title="Failures")
        failures.add_column("Photographs", justify="right")
        for failure in report.failures:
            failures.add_row(escape(failure.reason), f"{failure.images:,}")
        parts.append(failures)
    drift = report.drift
    if drift.mean is not None and drift.mean_absolute is not None:
        parts.append(
            f"p(severe) moved by {drift.mean:+.3f} in the mean, and by {drift.mean_absolute:.3f}"
            f" without the sign, over {drift.photographs:,} photographs."
        )
    if not report.triaged:
        parts.append("The release is not the active one: no case was changed.")
    return parts

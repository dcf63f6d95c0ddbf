"""The report of a rescore run as an HTML page without external files."""

from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined

from dermtriage.rescoring.reports.report import BINS, RunReport
from dermtriage_cli.views.formatting import SEVERITIES
from dermtriage_cli.views.rescore_report.wording import (
    drift_sentence,
    duration,
    throughput_sentence,
    triage_sentence,
)


def run_page(report: RunReport, run_id: UUID) -> str:
    """Return the page as HTML."""
    environment = Environment(
        loader=PackageLoader("dermtriage_cli.views.rescore_report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("run.html.j2").render(
        report=report,
        run_id=run_id,
        severities=SEVERITIES,
        duration=duration,
        throughput=throughput_sentence(report),
        drift=drift_sentence(report),
        note=triage_sentence(report),
        highest=max(report.drift.histogram, default=0),
        edges=[2 * index / BINS - 1 for index in range(BINS + 1)],
    )

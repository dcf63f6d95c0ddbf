"""The report of a rescore run as a page that needs nothing beside it."""

from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined

from dermtriage.rescoring.reports import BINS, RunReport
from dermtriage_cli.rescore_views.wording import duration, on_drift, on_throughput, on_triage
from dermtriage_cli.views import SEVERITIES


def run_page(report: RunReport, run_id: UUID) -> str:
    """Return the page as HTML."""
    environment = Environment(
        loader=PackageLoader("dermtriage_cli.rescore_views"),
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
        throughput=on_throughput(report),
        drift=on_drift(report),
        note=on_triage(report),
        most=max(report.drift.histogram, default=0),
        edges=[2 * index / BINS - 1 for index in range(BINS + 1)],
    )

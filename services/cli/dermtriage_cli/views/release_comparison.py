"""The comparison of two releases, as a table and for programs."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from dermtriage.releases.comparison import SEVERITIES, Comparison
from dermtriage_cli.views.formatting import severity_markup


def comparison_data(first: str, second: str, comparison: Comparison) -> dict[str, Any]:
    """Return a comparison for programs."""
    return {
        "first": first,
        "second": second,
        "photographs": comparison.photographs,
        "transitions": {
            a: {b: comparison.transitions[a, b] for b in SEVERITIES} for a in SEVERITIES
        },
        "severe_in_one_and_low_in_the_other": comparison.contradictions,
        "mean_drift": comparison.mean_drift,
        "mean_absolute_drift": comparison.mean_absolute_drift,
        "absolute_drift_quantiles": comparison.quantiles,
    }


def comparison_parts(first: str, second: str, comparison: Comparison) -> list[Table | str]:
    """Return what people read of a comparison, from top to bottom."""
    if not comparison.photographs:
        return ["No photograph has been scored by both releases."]
    table = Table(title=f"{comparison.photographs} photographs that both releases have scored")
    table.add_column(escape(first))
    for severity in SEVERITIES:
        table.add_column(f"{severity} by {escape(second)}", justify="right")
    for severity in SEVERITIES:
        counts = (str(comparison.transitions[severity, other]) for other in SEVERITIES)
        table.add_row(severity_markup(severity), *counts)
    quantiles = ", ".join(f"{share:.0%} {size:.3f}" for share, size in comparison.quantiles.items())
    return [
        table,
        f"Severe by one release and low by the other: {comparison.contradictions}.",
        f"Change of p(severe): mean {comparison.mean_drift:+.3f}, mean absolute"
        f" {comparison.mean_absolute_drift:.3f}; quantiles of the absolute change: {quantiles}.",
    ]

"""Scores of photographs as a table."""

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from dermtriage.core.enums import CLASSES
from dermtriage_cli.offline_scoring.scoring import Scored
from dermtriage_cli.views.formatting import severity_markup


def scores_table(results: Iterable[Scored]) -> Table:
    """Return scores, one row per photograph."""
    table = Table()
    for heading in (
        "Image",
        "Severity",
        "p(severe)",
        *CLASSES,
        "Disagreement",
        "Reasons",
        "Quality",
    ):
        table.add_column(heading)
    for scored in results:
        row = scored.row()
        figures = [row["p_severe"], *(row[f"p_{name}"] for name in CLASSES), row["disagreement"]]
        table.add_row(
            escape(scored.image),
            severity_markup(scored.severity),
            *(f"{value:.3f}" if isinstance(value, float) else "" for value in figures),
            ", ".join(scored.reasons),
            ", ".join(scored.retake),
        )
    return table

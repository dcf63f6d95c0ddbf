"""Rescore runs as a table."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table


def runs_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return rescore runs, one row each, as `rescore list --json` prints them."""
    table = Table("Run", "Planned", "Release", "State")
    for heading in ("Photographs", "Scored", "Failed", "Upgrades", "Recalls"):
        table.add_column(heading, justify="right")
    table.add_column("Reason")
    for row in rows:
        table.add_row(
            str(row["run"]),
            f"{row['planned_at'].astimezone():%Y-%m-%d %H:%M}",
            escape(str(row["release"])),
            str(row["state"]),
            *(f"{row[name]:,}" for name in ("images", "scored", "failed", "upgrades", "recalls")),
            escape(str(row["reason"] or "")),
        )
    return table

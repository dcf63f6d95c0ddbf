"""Clinics and clinicians as a table."""

from datetime import datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from dermtriage_cli.terminal.output import out, print_json


def show_accounts(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print accounts, one row each, as a table or as JSON."""
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print("None yet.")
        return
    table = Table()
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "))
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    out.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M")
    return "" if value is None else str(value)

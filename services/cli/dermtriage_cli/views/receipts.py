"""The receipts of a submission as a table."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from dermtriage_cli.views.formatting import local_time


def receipts_table(receipts: Iterable[tuple[str, Mapping[str, Any]]]) -> Table:
    """Return receipts as a table, each with the name that the clinic gave the case."""
    table = Table(title="Receipts", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("Sent", "Case"):
        table.add_column(heading, overflow="fold")
    for heading in ("Received", "Priority"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Images", justify="right", no_wrap=True)
    for name, receipt in receipts:
        table.add_row(
            escape(name),
            receipt["case_id"],
            local_time(receipt["received_at"]),
            receipt["priority"],
            str(len(receipt["images"])),
        )
    return table

"""Tables for people."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

SEVERITIES = ("severe", "unscored", "indeterminate", "low")
"""The most urgent first."""

_COLOURS = {"severe": "bold red", "unscored": "magenta", "indeterminate": "yellow", "low": "green"}


def local_time(moment: str) -> str:
    """Return an ISO moment in this machine's time, short."""
    return datetime.fromisoformat(moment).astimezone().strftime("%a %d %b %H:%M")


def coloured(severity: str) -> str:
    """Return a severity in its colour, as console markup."""
    return f"[{_COLOURS.get(severity, 'default')}]{severity}[/]"


def worklist_table(
    lines: Iterable[Mapping[str, Any]], cases: Mapping[str, Mapping[str, Any]] | None = None
) -> Table:
    """Build the worklist as a table.

    Parameters
    ----------
    lines
        As ``GET /v1/worklist`` gives them.
    cases
        By id, as ``GET /v1/cases/{id}`` gives them to a clinician; with them the table shows
        the clinic's references and the scores.
    """
    table = _table("Worklist, most urgent first")
    for heading in ("Lane", "Severity", "Due", "Overdue", "Asked for"):
        table.add_column(heading, no_wrap=True)
    # Where the terminal is narrow, the identifier gives way first.
    table.add_column("Case", overflow="fold")
    table.add_column("Images", justify="right", no_wrap=True)
    further = ("Clinic", "Claimed by") if cases is None else ("Reference", "p(severe)")
    for heading in further:
        table.add_column(heading, overflow="fold")
    for line in lines:
        if cases is None:
            last = (line["clinic_name"], line["claimed_by"] or "")
        else:
            case = cases[line["case_id"]]
            last = (case["clinic_reference"] or "", _scores(case))
        table.add_row(
            str(line["lane"]),
            coloured(line["severity"]),
            local_time(line["due_at"]),
            "[bold red]yes[/]" if line["overdue"] else "no",
            line["priority"],
            line["case_id"],
            str(len(line["image_ids"])),
            *(escape(text) for text in last),
        )
    return table


def receipts_table(receipts: Iterable[tuple[str, Mapping[str, Any]]]) -> Table:
    """Build a table of receipts, each with the name that the clinic gave the case."""
    table = _table("Receipts")
    for heading in ("Sent", "Case"):
        table.add_column(heading, overflow="fold")
    for heading in ("Received", "Asked for"):
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


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)


def _scores(case: Mapping[str, Any]) -> str:
    said = [image["assessment"] for image in case["review"]["images"]]
    return ", ".join(f"{one['p_severe']:.3f}" if one else "-" for one in said)

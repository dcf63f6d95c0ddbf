"""The worklist as a table."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from dermtriage_cli.views.formatting import local_time, severity_markup


def worklist_table(
    lines: Iterable[Mapping[str, Any]], cases: Mapping[str, Mapping[str, Any]] | None = None
) -> Table:
    """Return the worklist as a table.

    Parameters
    ----------
    lines
        As ``GET /v1/worklist`` returns them.
    cases
        By id, as ``GET /v1/cases/{id}`` returns them to a clinician; with them the table shows
        the clinic's references and the scores.
    """
    table = Table(title="Worklist, most urgent first", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("Lane", "Severity", "Due", "Overdue", "Priority"):
        table.add_column(heading, no_wrap=True)
    # In a narrow terminal, the identifier is folded first.
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
            severity_markup(line["severity"]),
            local_time(line["due_at"]),
            "[bold red]yes[/]" if line["overdue"] else "no",
            line["priority"],
            line["case_id"],
            str(len(line["image_ids"])),
            *(escape(text) for text in last),
        )
    return table


def _scores(case: Mapping[str, Any]) -> str:
    assessments = [image["assessment"] for image in case["review"]["images"]]
    return ", ".join(f"{each['p_severe']:.3f}" if each else "-" for each in assessments)

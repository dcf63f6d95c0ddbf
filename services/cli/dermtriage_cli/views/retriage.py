"""The result of `retriage`, as a table and for programs."""

from typing import Any

from rich.table import Table

from dermtriage.core.enums import Severity
from dermtriage.retriage.adoption import AdoptedPolicy
from dermtriage.retriage.tally import Tally
from dermtriage_cli.views.formatting import severity_markup


def retriage_data(adopted: AdoptedPolicy | None, tally: Tally) -> dict[str, Any]:
    """Return the result for programs."""
    return {
        "dry_run": adopted is None,
        "policy_id": adopted.policy_id if adopted else None,
        "cases": tally.cases,
        "changed": tally.changed,
        "recalled": tally.recalled,
        "lowered": tally.lowered,
        "transitions": {
            before: {after: tally.transitions[before, after] for after in Severity}
            for before in Severity
        },
    }


def retriage_parts(adopted: AdoptedPolicy | None, tally: Tally) -> list[Table | str]:
    """Return what people read of the result, from top to bottom.

    Parameters
    ----------
    adopted
        The new policy; None after a dry run.
    tally
        What changed, or would change.
    """
    table = Table(title=f"{tally.transitions.total()} open cases")
    table.add_column("Now" if adopted is None else "Before")
    for severity in Severity:
        table.add_column(f"then {severity}", justify="right")
    for before in Severity:
        counts = (str(tally.transitions[before, after]) for after in Severity)
        table.add_row(severity_markup(before), *counts)
    change = "would change" if adopted is None else "changed"
    counts_line = (
        f"{tally.changed} of {tally.cases} cases {change}."
        f" Decided cases recalled: {tally.recalled}. Open cases lowered: {tally.lowered}."
    )
    return [table, counts_line, _result(adopted, tally)]


def _result(adopted: AdoptedPolicy | None, tally: Tally) -> str:
    if adopted is None:
        needed = "It needs --allow-down and --reason. " if tally.lowered else ""
        return f"{needed}Nothing was changed."
    if adopted.new:
        return f"Policy {adopted.policy_id} is active."
    return f"Policy {adopted.policy_id} was active already."

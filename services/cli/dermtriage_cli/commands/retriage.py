"""`retriage`: another policy for all cases, from stored assessments."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from dermtriage.core.enums import Severity
from dermtriage.core.errors import RequestRejected
from dermtriage_cli.commands.database import open_sessions
from dermtriage_cli.commands.options import DATA_DIR, DataDir, Json
from dermtriage_cli.commands.releases import user
from dermtriage_cli.output import out, print_json, progress
from dermtriage_cli.views import coloured

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from dermtriage.retriage.service import Adopted, Tally


def retriage(
    policy: Annotated[
        Path,
        typer.Option(
            help="JSON file with those fields of the policy that change; the others stay.",
            exists=True,
            dir_okay=False,
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
    ] = False,
    allow_down: Annotated[
        bool, typer.Option("--allow-down", help="Lower open cases, too; needs a reason.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="Why the policy changes; it is kept.", show_default=False)
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who answers for it; you by default.")] = None,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Change the policy, and triage all cases again from their stored scores; no GPU is needed.

    A policy that would lower open cases is refused without --allow-down and a --reason. Once it
    was interrupted, the same command again does what is left.

    Example: dermtriage retriage --policy thresholds.json --dry-run
    """
    changes = _read(policy)
    with open_sessions(data_dir) as (sessions, _):
        if dry_run:
            adopted, tally = None, _preview(sessions, changes)
        else:
            adopted = _adopt(sessions, changes, by or user(), reason, allow_down)
            tally = _apply(sessions, adopted, allow_down)
    if as_json:
        print_json(_report(adopted, tally))
    else:
        _show(adopted, tally)


def _read(path: Path) -> dict[str, Any]:
    try:
        changes = json.loads(path.read_bytes())
    except OSError as error:
        raise RequestRejected(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise RequestRejected(f"{path} is no JSON: {error}.", remedy="Correct it.") from error
    if not isinstance(changes, dict):
        raise RequestRejected(
            f"{path} holds no JSON object.", remedy='Write it like {"upper": 0.7}.'
        )
    return changes


def _preview(sessions: "sessionmaker[Session]", changes: dict[str, Any]) -> "Tally":

    from dermtriage.core.clock import utcnow
    from dermtriage.retriage.service import preview

    with _bar("Trying", sessions) as seen, sessions.begin() as session:
        return preview(session, changes, now=utcnow(), seen=seen)


def _adopt(
    sessions: "sessionmaker[Session]",
    changes: dict[str, Any],
    actor: str,
    reason: str | None,
    allow_down: bool,
) -> "Adopted":

    # What may be lowered is not looked for first.
    from dermtriage.core.clock import utcnow
    from dermtriage.retriage.service import adopt_policy

    bar = nullcontext() if allow_down else _bar("Checking", sessions)
    with bar as seen, sessions.begin() as session:
        return adopt_policy(
            session,
            changes,
            actor=actor,
            reason=reason,
            allow_down=allow_down,
            now=utcnow(),
            seen=seen,
        )


def _apply(sessions: "sessionmaker[Session]", adopted: "Adopted", allow_down: bool) -> "Tally":

    from dermtriage.core.clock import utcnow
    from dermtriage.retriage.service import Tally, retriage_cases

    tally, last = Tally(), None
    with _bar("Triaging", sessions) as seen:
        while True:
            with sessions.begin() as session:
                batch = retriage_cases(
                    session,
                    policy_id=adopted.policy_id,
                    after=last,
                    allow_down=allow_down,
                    now=utcnow(),
                )
            tally.add(batch.tally)
            seen(batch.tally)
            if batch.last is None:
                return tally
            last = batch.last


@contextmanager
def _bar(title: str, sessions: "sessionmaker[Session]") -> "Iterator[Callable[[Tally], None]]":
    from dermtriage.retriage.service import count_cases

    with sessions.begin() as session:
        total = count_cases(session)
    with progress() as bars:
        task = bars.add_task(title, total=total)

        def seen(tally: "Tally") -> None:
            bars.advance(task, tally.cases)
            if speed := bars.tasks[task].speed:
                bars.update(task, description=f"{title} {speed:,.0f} cases/s")

        yield seen


def _report(adopted: "Adopted | None", tally: "Tally") -> dict[str, Any]:
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


def _show(adopted: "Adopted | None", tally: "Tally") -> None:
    table = Table(title=f"{tally.transitions.total()} open cases")
    table.add_column("Now" if adopted is None else "Before")
    for severity in Severity:
        table.add_column(f"then {severity}", justify="right")
    for before in Severity:
        counts = (str(tally.transitions[before, after]) for after in Severity)
        table.add_row(coloured(before), *counts)
    out.print(table)
    change = "would change" if adopted is None else "changed"
    out.print(
        f"{tally.changed} of {tally.cases} cases {change}."
        f" Decided, and recalled: {tally.recalled}. Open, and lowered: {tally.lowered}."
    )
    if adopted is None:
        if tally.lowered:
            out.print("That takes --allow-down and a --reason. Nothing was changed.")
        else:
            out.print("Nothing was changed.")
    elif adopted.new:
        out.print(f"Policy {adopted.policy_id} is active.")
    else:
        out.print(f"Policy {adopted.policy_id} was the active one already.")

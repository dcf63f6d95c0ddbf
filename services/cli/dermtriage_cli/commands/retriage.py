"""`retriage`: change the policy, and apply it to all cases from their stored assessments."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermtriage.core.errors import RequestRejected
from dermtriage_cli.database.sessions import open_sessions
from dermtriage_cli.terminal.current_user import current_user
from dermtriage_cli.terminal.options import DATA_DIR, DataDir, Json
from dermtriage_cli.terminal.output import out, print_json, progress

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from dermtriage.retriage.adoption import AdoptedPolicy
    from dermtriage.retriage.tally import Tally


def retriage(
    policy: Annotated[
        Path,
        typer.Option(
            help="JSON file with the fields of the policy to change; the others stay.",
            exists=True,
            dir_okay=False,
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change without changing it.")
    ] = False,
    allow_down: Annotated[
        bool,
        typer.Option("--allow-down", help="Also lower the severity of open cases; needs --reason."),
    ] = False,
    reason: Annotated[
        str | None,
        typer.Option(help="Why the policy changes; recorded with it.", show_default=False),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who is responsible; you by default.")] = None,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Change the policy, and triage all cases again from their stored scores. No GPU is needed.

    A policy that would lower the severity of open cases is refused without --allow-down and
    --reason. After an interruption, repeat the same command to finish.

    Example: dermtriage retriage --policy thresholds.json --dry-run
    """
    from dermtriage_cli.views.retriage import retriage_data, retriage_parts

    changes = _read(policy)
    with open_sessions(data_dir) as (sessions, _):
        if dry_run:
            adopted, tally = None, _preview(sessions, changes)
        else:
            adopted = _adopt(sessions, changes, by or current_user(), reason, allow_down)
            tally = _apply(sessions, adopted, allow_down)
    if as_json:
        print_json(retriage_data(adopted, tally))
        return
    for part in retriage_parts(adopted, tally):
        out.print(part)


def _read(path: Path) -> dict[str, Any]:
    try:
        changes = json.loads(path.read_bytes())
    except OSError as error:
        raise RequestRejected(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise RequestRejected(f"{path} is not JSON: {error}.", remedy="Correct it.") from error
    if not isinstance(changes, dict):
        raise RequestRejected(
            f"{path} does not contain a JSON object.", remedy='Write it like {"upper": 0.7}.'
        )
    return changes


def _preview(sessions: "sessionmaker[Session]", changes: dict[str, Any]) -> "Tally":
    from dermtriage.core.clock import utcnow
    from dermtriage.retriage.batches import preview_changes

    with _bar("Trying", sessions) as advance, sessions.begin() as session:
        return preview_changes(session, changes, now=utcnow(), on_batch=advance)


def _adopt(
    sessions: "sessionmaker[Session]",
    changes: dict[str, Any],
    actor: str,
    reason: str | None,
    allow_down: bool,
) -> "AdoptedPolicy":
    from dermtriage.core.clock import utcnow
    from dermtriage.retriage.adoption import adopt_policy

    # Lowered cases are searched for only if they would refuse the policy.
    bar = nullcontext() if allow_down else _bar("Checking", sessions)
    with bar as advance, sessions.begin() as session:
        return adopt_policy(
            session,
            changes,
            actor=actor,
            reason=reason,
            allow_down=allow_down,
            now=utcnow(),
            on_batch=advance,
        )


def _apply(
    sessions: "sessionmaker[Session]", adopted: "AdoptedPolicy", allow_down: bool
) -> "Tally":
    from dermtriage.core.clock import utcnow
    from dermtriage.retriage.batches import retriage_cases
    from dermtriage.retriage.tally import Tally

    tally, last = Tally(), None
    with _bar("Triaging", sessions) as advance:
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
            advance(batch.tally)
            if batch.last is None:
                return tally
            last = batch.last


@contextmanager
def _bar(title: str, sessions: "sessionmaker[Session]") -> "Iterator[Callable[[Tally], None]]":
    from dermtriage.retriage.batches import count_cases

    with sessions.begin() as session:
        total = count_cases(session)
    with progress() as bars:
        task = bars.add_task(title, total=total)

        def advance(tally: "Tally") -> None:
            bars.advance(task, tally.cases)
            if speed := bars.tasks[task].speed:
                bars.update(task, description=f"{title} {speed:,.0f} cases/s")

        yield advance

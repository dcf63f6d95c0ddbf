"""`rescore`: score stored photographs again, watch it, stop it, and read what came of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.markup import escape
from rich.table import Table

from dermtriage_cli.commands.database import open_session, open_sessions
from dermtriage_cli.commands.options import DATA_DIR, DataDir, Json
from dermtriage_cli.commands.releases import user
from dermtriage_cli.output import out, print_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from dermtriage.core.settings import Settings
    from dermtriage.models import RescoreRun
    from dermtriage.rescoring.scope import Scope

rescore = typer.Typer(
    help="Score stored photographs again with a release.", invoke_without_command=True
)

RunId = Annotated[UUID, typer.Argument(metavar="RUN", help="The run's id.", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the run.")]


@rescore.callback()
def start(
    context: typer.Context,
    release: Annotated[
        str | None, typer.Option(help="Name of the release; the active one by default.")
    ] = None,
    scope: Annotated[
        str,
        typer.Option(
            metavar="open|all|since:DATE|clinic:NAME",
            help="Cases without a final decision, all, those received since a day, or a clinic's.",
        ),
    ] = "open",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the photographs, and plan nothing.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Watch the run to its end, and print its report.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Plan a run over all photographs in scope that the release has not scored.

    Workers take it up at once, and score what clinics send before each batch. Only the active
    release changes severities, and only upwards; what another one says is kept for comparison.

    Example: dermtriage rescore --scope since:2026-11-01 --wait
    """
    from dermtriage.rescoring import planning

    if context.invoked_subcommand is not None:
        return
    from dermtriage.releases.queries import active_release, find_release
    from dermtriage.rescoring import runs
    from dermtriage_cli.release_folders import introduce_release

    with open_sessions(data_dir) as (sessions, settings), sessions() as session:
        if release is not None:
            introduce_release(session, settings.releases_dir / release)
        chosen = find_release(session, release) if release else active_release(session)
        wanted = _scope(scope, session, settings)
        if dry_run:
            # Nothing is committed: the database does not come to know a new release, either.
            count = planning.count_images(session, release_id=chosen.id, scope=wanted)
            if as_json:
                print_json({"release": chosen.name, "images": count})
            else:
                out.print(f"{count:,} photographs would be scored by {escape(chosen.name)}.")
            return
        run = planning.plan_run(
            session,
            release=chosen,
            scope=wanted,
            actor=user(),
            chunk_images=settings.rescore_chunk,
        )
        run_id, images, chunks = run.id, run.images, runs.progress(session, run).chunks
        session.commit()
    _wake(settings, chunks)
    if not as_json:
        out.print(f"Run {run_id}: {images:,} photographs by {escape(chosen.name)}.")
    if wait:
        watch(run_id, data_dir, as_json)
    elif as_json:
        print_json({"run": run_id, "release": chosen.name, "images": images})


@rescore.command()
def watch(run_id: RunId, data_dir: DataDir = DATA_DIR, as_json: Json = False) -> None:
    """Watch a run until it has ended, and print its report. Exits 1 if it stands still or failed.

    Example: dermtriage rescore watch 019ac2c4-7a54-7d5c-9b1c-6f0a5f1f3e11
    """
    from dermtriage.core.enums import RunState
    from dermtriage_cli.output import err
    from dermtriage_cli.rescore_views.watch import watch_run

    with open_sessions(data_dir) as (sessions, settings):
        run = watch_run(sessions, settings, run_id)
    if run.report is None:
        console = err if as_json else out
        console.print(f"The run stands still: {escape(run.reason or '')}")
        console.print(f"To let it go on: dermtriage rescore resume {run_id}")
        raise typer.Exit(1)
    _print_report(run, as_json)
    if run.state is RunState.FAILED:
        raise typer.Exit(1)


@rescore.command("list")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """List the runs, the newest first.

    Example: dermtriage rescore list --limit 5
    """
    from dermtriage.models import Release
    from dermtriage.rescoring import runs

    with open_session(data_dir) as (session, _):
        rows: list[dict[str, Any]] = []
        for run in runs.list_runs(session, limit=limit):
            progress = runs.progress(session, run)
            rows.append(
                {
                    "run": run.id,
                    "night": run.night.isoformat() if run.night else None,
                    "release": session.get_one(Release, run.release_id).name,
                    "state": run.state.value,
                    "planned_at": run.created_at,
                    "images": run.images,
                    "scored": progress.scored,
                    "failed": progress.failed,
                    "upgrades": progress.upgrades,
                    "recalls": progress.recalls,
                    "reason": run.reason,
                }
            )
    if as_json:
        print_json(rows)
        return
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
    out.print(table)


@rescore.command()
def report(
    run_id: RunId,
    page: Annotated[
        Path | None, typer.Option(help="Write the report as a page (HTML) as well.", dir_okay=False)
    ] = None,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Print the report of a run that has ended.

    Example: dermtriage rescore report 019ac2c4-7a54-7d5c-9b1c-6f0a5f1f3e11 --page night.html
    """
    from dermtriage.rescoring import runs
    from dermtriage.rescoring.reports import RunReport
    from dermtriage_cli.rescore_views.page import run_page

    with open_session(data_dir) as (session, _):
        run = runs.find_run(session, run_id)
        runs.require_report(run)
    if page is not None:
        page.write_text(run_page(RunReport.model_validate(run.report), run_id), encoding="utf-8")
    _print_report(run, as_json)


@rescore.command()
def pause(
    run_id: RunId,
    reason: Reason = "paused by an operator",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Let a run stand still; what it has done stays.

    Example: dermtriage rescore pause RUN --reason 'maintenance'
    """
    from dermtriage.rescoring import runs

    with open_session(data_dir) as (session, _):
        runs.pause(session, run_id, reason=reason)
    out.print("The run stands still.")


@rescore.command()
def resume(run_id: RunId, data_dir: DataDir = DATA_DIR) -> None:
    """Let a run go on that stands still; if it stopped for its many recalls, this confirms them.

    Example: dermtriage rescore resume RUN
    """
    from dermtriage.rescoring import runs

    with open_session(data_dir) as (session, settings):
        run = runs.resume(session, run_id)
        chunks = runs.progress(session, run).chunks
    _wake(settings, chunks)
    out.print("The run goes on.")


@rescore.command()
def cancel(
    run_id: RunId,
    reason: Reason = "cancelled by an operator",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """End a run early; what it has done stays.

    Example: dermtriage rescore cancel RUN
    """
    from dermtriage.core.clock import utcnow
    from dermtriage.rescoring import reports

    with open_sessions(data_dir) as (sessions, _):
        with sessions.begin() as session:
            reports.cancel(session, run_id, reason=reason, now=utcnow())
        out.print("The run has ended.")
        with sessions.begin() as session:
            reports.write_report(session, run_id)


def _scope(text: str, session: "Session", settings: "Settings") -> "Scope":
    from zoneinfo import ZoneInfo

    from dermtriage.accounts.clinics import find_clinic
    from dermtriage.rescoring.scope import OPEN, Scope

    kind, _, value = text.partition(":")
    if text == "open":
        return OPEN
    if text == "all":
        return Scope(kind="all")
    if kind == "since" and value:
        try:
            day = datetime.strptime(value, "%Y-%m-%d")  # noqa: DTZ007 - the zone comes next
        except ValueError as error:
            raise typer.BadParameter("The date is written as 2026-11-01.") from error
        began = day.replace(tzinfo=ZoneInfo(settings.timezone)).astimezone(UTC)
        return Scope(kind="since", since=began)
    if kind == "clinic" and value:
        return Scope(kind="clinic", clinic_id=find_clinic(session, name=value).id)
    raise typer.BadParameter("It is open, all, since:DATE or clinic:NAME.", param_hint="--scope")


def _wake(settings: "Settings", chunks: int) -> None:
    from dermtriage.core.errors import ConfigurationError, Unavailable
    from dermtriage.messaging.celery_app import make_celery
    from dermtriage.messaging.sender import send_rescores
    from dermtriage_cli.output import err

    try:
        send_rescores(make_celery(settings), min(chunks, settings.scoring_threads))
    except (Unavailable, ConfigurationError) as error:
        err.print(f"{escape(str(error))} Recovery wakes the workers instead, within its interval.")


def _print_report(run: "RescoreRun", as_json: bool) -> None:
    from dermtriage.rescoring.reports import RunReport
    from dermtriage_cli.rescore_views.tables import report_tables

    if as_json:
        print_json({"run": run.id, **(run.report or {})})
        return
    for part in report_tables(RunReport.model_validate(run.report)):
        out.print(part)

"""`rescore`: plan a rescore run, watch it, and read its report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dermtriage_cli.database.sessions import open_session, open_sessions
from dermtriage_cli.terminal.current_user import current_user
from dermtriage_cli.terminal.options import DATA_DIR, DataDir, Json, RunId
from dermtriage_cli.terminal.output import out, print_json

if TYPE_CHECKING:
    from dermtriage.models import RescoreRun

rescore = typer.Typer(invoke_without_command=True)


@rescore.callback()
def start(
    context: typer.Context,
    release: Annotated[
        str | None, typer.Option(help="Name of the release; by default the active one.")
    ] = None,
    scope: Annotated[
        str,
        typer.Option(
            metavar="open|all|since:DATE|clinic:NAME",
            help="Cases: without a final decision, all, received since a day, or of a clinic.",
        ),
    ] = "open",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the photographs.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Watch the run until it ends, and print its report.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Score stored photographs again: all in scope that the release has not scored.

    Workers start at once, and still score new photographs first. Only the active release changes
    severities, and only upwards; scores of another release are kept for comparison.

    Example: dermtriage rescore --scope since:2026-11-01 --wait
    """
    from dermtriage.rescoring import planning

    if context.invoked_subcommand is not None:
        return
    from dermtriage.releases.queries import active_release, find_release
    from dermtriage.rescoring import runs
    from dermtriage_cli.releases.folders import register_release
    from dermtriage_cli.rescoring.scope import parse_scope
    from dermtriage_cli.rescoring.wake import wake_workers

    with open_sessions(data_dir) as (sessions, settings), sessions() as session:
        if release is not None:
            register_release(session, settings.releases_dir / release)
        chosen = find_release(session, release) if release else active_release(session)
        parsed = parse_scope(scope, session, settings)
        if dry_run:
            # Nothing is committed, so a new release is not registered either.
            count = planning.count_images(session, release_id=chosen.id, scope=parsed)
            if as_json:
                print_json({"release": chosen.name, "images": count})
            else:
                out.print(f"{count:,} photographs would be scored by {escape(chosen.name)}.")
            return
        run = planning.plan_run(
            session,
            release=chosen,
            scope=parsed,
            actor=current_user(),
            chunk_images=settings.rescore_chunk,
        )
        run_id, images, chunks = run.id, run.images, runs.progress(session, run).chunks
        session.commit()
    wake_workers(settings, chunks)
    if not as_json:
        out.print(f"Run {run_id}: {images:,} photographs by {escape(chosen.name)}.")
    if wait:
        watch(run_id, data_dir, as_json)
    elif as_json:
        print_json({"run": run_id, "release": chosen.name, "images": images})


@rescore.command()
def watch(run_id: RunId, data_dir: DataDir = DATA_DIR, as_json: Json = False) -> None:
    """Watch a run until it ends, and print its report. Exits 1 if it is paused or failed.

    Example: dermtriage rescore watch 019ac2c4-7a54-7d5c-9b1c-6f0a5f1f3e11
    """
    from dermtriage.core.enums import RunState
    from dermtriage_cli.rescoring.watch import watch_run
    from dermtriage_cli.terminal.output import err

    with open_sessions(data_dir) as (sessions, settings):
        run = watch_run(sessions, settings, run_id)
    if run.report is None:
        console = err if as_json else out
        console.print(f"The run is paused: {escape(run.reason or '')}")
        console.print(f"To continue it: dermtriage rescore resume {run_id}")
        raise typer.Exit(1)
    _print_report(run, as_json)
    if run.state is RunState.FAILED:
        raise typer.Exit(1)


@rescore.command("list")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many.")] = 20,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """List rescore runs, the newest first.

    Example: dermtriage rescore list --limit 5
    """
    from dermtriage.models import Release
    from dermtriage.rescoring import runs
    from dermtriage_cli.views.rescore_runs import runs_table

    with open_session(data_dir) as (session, _):
        rows = []
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
    out.print(runs_table(rows))


@rescore.command()
def report(
    run_id: RunId,
    page: Annotated[
        Path | None, typer.Option(help="Also write the report as an HTML page.", dir_okay=False)
    ] = None,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Print the report of a run that has ended.

    Example: dermtriage rescore report 019ac2c4-7a54-7d5c-9b1c-6f0a5f1f3e11 --page night.html
    """
    from dermtriage.rescoring import runs
    from dermtriage.rescoring.reports.report import RunReport
    from dermtriage_cli.views.rescore_report.page import run_page

    with open_session(data_dir) as (session, _):
        run = runs.find_run(session, run_id)
        runs.require_report(run)
    if page is not None:
        page.write_text(run_page(RunReport.model_validate(run.report), run_id), encoding="utf-8")
    _print_report(run, as_json)


def _print_report(run: "RescoreRun", as_json: bool) -> None:
    from dermtriage.rescoring.reports.report import RunReport
    from dermtriage_cli.views.rescore_report.tables import report_tables

    if as_json:
        print_json({"run": run.id, **(run.report or {})})
        return
    for part in report_tables(RunReport.model_validate(run.report)):
        out.print(part)

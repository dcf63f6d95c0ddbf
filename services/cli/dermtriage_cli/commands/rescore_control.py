"""`rescore pause`, `resume` and `cancel`."""

from typing import Annotated

import typer

from dermtriage_cli.database.sessions import open_session, open_sessions
from dermtriage_cli.terminal.options import DATA_DIR, DataDir, RunId
from dermtriage_cli.terminal.output import out

Reason = Annotated[str, typer.Option(help="Why; recorded with the run.")]


def pause(
    run_id: RunId,
    reason: Reason = "paused by an operator",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Pause a run. Scores that it has written stay.

    Example: dermtriage rescore pause RUN --reason 'maintenance'
    """
    from dermtriage.rescoring import lifecycle

    with open_session(data_dir) as (session, _):
        lifecycle.pause(session, run_id, reason=reason)
    out.print("The run is paused.")


def resume(run_id: RunId, data_dir: DataDir = DATA_DIR) -> None:
    """Continue a paused run. If it paused because of many recalls, this confirms them.

    Example: dermtriage rescore resume RUN
    """
    from dermtriage.rescoring import lifecycle, runs
    from dermtriage_cli.rescoring.wake import wake_workers

    with open_session(data_dir) as (session, settings):
        run = lifecycle.resume(session, run_id)
        chunks = runs.progress(session, run).chunks
    wake_workers(settings, chunks)
    out.print("The run continues.")


def cancel(
    run_id: RunId,
    reason: Reason = "cancelled by an operator",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """End a run early. Scores that it has written stay.

    Example: dermtriage rescore cancel RUN
    """
    from dermtriage.core.clock import utcnow
    from dermtriage.rescoring import lifecycle
    from dermtriage.rescoring.reports.writing import write_report

    with open_sessions(data_dir) as (sessions, _):
        with sessions.begin() as session:
            lifecycle.cancel(session, run_id, reason=reason, now=utcnow())
        out.print("The run has ended.")
        with sessions.begin() as session:
            write_report(session, run_id)

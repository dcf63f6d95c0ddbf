"""The `dermtriage` command.

Exit status: 0 all is well; 1 something failed, as standard error says; 2 the command line is
wrong; 130 interrupted.
"""

import os
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dermtriage.core.errors import DermtriageError
from dermtriage_cli.commands import (
    accounts,
    clinic,
    evaluate,
    explanations,
    model_card,
    operation,
    releases,
    rescore,
    retriage,
    running,
    score,
    training,
    worklist,
)
from dermtriage_cli.output import complain

INTERRUPTED = 130


class Commands(TyperGroup):
    """Shows errors of ours as a sentence, and everything unforeseen as a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except DermtriageError as error:
            complain(str(error))
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            complain("Interrupted.")
            sys.stdout.flush()
            # Everything of ours has been stopped on the way here. A thread that still waits for
            # a server on a bad line must not hold the command.
            os._exit(INTERRUPTED)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    # Tracebacks with local variables would show what clinics sent.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 all is well, 1 something failed, 2 wrong command line, 130 interrupted.",
)
app.command()(running.up)
app.command()(running.demo)
app.command()(clinic.submit)
app.command()(worklist.worklist)
app.command()(score.score)
app.add_typer(accounts.clinics, name="clinic")
app.add_typer(accounts.clinicians, name="clinician")
app.add_typer(operation.database, name="db")
releases.release.command()(training.build)
app.add_typer(releases.release, name="release")
app.command()(retriage.retriage)
app.add_typer(rescore.rescore, name="rescore")
app.command()(operation.doctor)
app.command()(training.train)
app.command()(evaluate.evaluate)
app.command()(explanations.evaluate_explanations)
app.command()(model_card.model_card)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("dermtriage"))
        raise typer.Exit


@app.callback()
def dermtriage(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Batch triage for teledermatology: photographs in, a severity-ranked worklist out.

    It assists clinicians; it decides nothing by itself.
    """

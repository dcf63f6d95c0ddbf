"""The `dermtriage` command.

Exit status: 0 success; 1 a failure, described on standard error; 2 wrong command line;
130 interrupted.
"""

import os
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dermtriage.core.errors import DermtriageError
from dermtriage_cli.commands import (
    clinic,
    clinician,
    db,
    demo,
    dev,
    doctor,
    evaluate,
    evaluate_explanations,
    model_card,
    release,
    release_build,
    release_compare,
    rescore,
    rescore_control,
    retriage,
    score,
    store,
    submit,
    train,
    up,
    worklist,
)
from dermtriage_cli.terminal.output import print_error

INTERRUPTED = 130


class Commands(TyperGroup):
    """Shows our own errors as a sentence, and unexpected ones as a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except DermtriageError as error:
            print_error(str(error))
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            print_error("Interrupted.")
            sys.stdout.flush()
            # Everything that the command started is stopped by now. A thread that still waits
            # for a server on a bad line must not keep the command alive.
            os._exit(INTERRUPTED)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    # Tracebacks with local variables would show patients' data.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 success, 1 failure, 2 wrong command line, 130 interrupted.",
)
app.command()(up.up)
app.command()(demo.demo)
app.command()(submit.submit)
app.command()(worklist.worklist)
app.command()(score.score)
app.add_typer(clinic.clinic, name="clinic")
app.add_typer(clinician.clinician, name="clinician")
app.add_typer(db.db, name="db")
app.add_typer(store.store, name="store")
release.release.command()(release_build.build)
release.release.command()(release_compare.compare)
app.add_typer(release.release, name="release")
app.command()(retriage.retriage)
for command in (rescore_control.pause, rescore_control.resume, rescore_control.cancel):
    rescore.rescore.command()(command)
app.add_typer(rescore.rescore, name="rescore")
app.command()(doctor.doctor)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(evaluate_explanations.evaluate_explanations)
app.command()(model_card.model_card)
app.command()(dev.dev)


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
    """Batch triage for teledermatology: photographs in, a worklist ranked by severity out.

    It assists clinicians; it makes no decision by itself.
    """

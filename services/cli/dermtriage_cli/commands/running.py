"""`up` and `demo`: the whole system on this machine."""

import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dermtriage_cli.commands.options import DATA_DIR, DataDir
from dermtriage_cli.embedded.signals import ending_in_order
from dermtriage_cli.output import complain, err, out, steps

if TYPE_CHECKING:
    from dermtriage_cli.demo.demonstration import Login, Result
    from dermtriage_cli.embedded.stack import Stack

Port = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=65535,
        help="Port of the API on this machine; by default 8000, or a free one if that is in use.",
    ),
]


def up(data_dir: DataDir = DATA_DIR, port: Port = None) -> None:
    """Run the whole system on this machine and keep its data in a folder.

    PostgreSQL and Redis are started too, unless DERMTRIAGE_DATABASE_URL and
    DERMTRIAGE_REDIS_URL name others. Ctrl-C or TERM stops everything.

    Example: dermtriage up --data-dir /srv/dermtriage --port 8080
    """
    from dermtriage_cli.embedded.stack import Stack

    with ending_in_order(), ExitStack() as ending:
        with steps() as step:
            stack = ending.enter_context(Stack(data_dir, port=port, on_step=step))
        option = "" if data_dir == DATA_DIR else f" --data-dir {data_dir}"
        out.print(
            f"dermtriage serves at [bold]{stack.url}[/] (API reference: {stack.url}/docs).\n"
            f"Data in {escape(str(data_dir))}, logs in {escape(str(stack.logs))}.\n"
            "Next, in another terminal:\n"
            f"  dermtriage clinic add 'Aldea Norte'{escape(option)}\n"
            f"  dermtriage clinician add m.okafor{escape(option)}\n"
            "Ctrl-C stops everything.",
            soft_wrap=True,
        )
        _wait()


def demo(
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Your own photographs and folders; without any, samples are drawn.", exists=True
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="Stop after the worklist; exit 0 only if every photograph was scored and the"
            " order is right.",
        ),
    ] = False,
    count: Annotated[int, typer.Option(min=1, help="How many samples to draw.")] = 24,
    seed: Annotated[int, typer.Option(help="The same seed draws the same samples.")] = 1,
    port: Port = None,
) -> None:
    """Show the way of photographs to a worklist, on a system that is gone afterwards.

    Example: dermtriage demo --once
    """
    from dermtriage_cli.demo.demonstration import create_accounts, show
    from dermtriage_cli.embedded.stack import Stack

    with ending_in_order(), ExitStack() as ending:
        folder = Path(ending.enter_context(TemporaryDirectory(prefix="dermtriage-demo-")))
        with steps() as step:
            stack = ending.enter_context(Stack(folder, port=port, on_step=step))
        login = create_accounts(stack.settings)
        result = show(stack.url, login, images or [], count=count, seed=seed, check=stack.check)
        _print(result)
        if once:
            raise typer.Exit(1 if result.wrong else 0)
        _invite(stack, login)
        _wait()


def _print(result: "Result") -> None:
    from dermtriage_cli.views import worklist_table

    out.print(worklist_table(result.lines, result.cases))
    for fault in result.wrong:
        complain(fault)
    if not result.wrong:
        out.print(
            f"{len(result.lines)} cases, each scored; the order is right:"
            " lane, then due time, then arrival."
        )


def _invite(stack: "Stack", login: "Login") -> None:
    out.print(
        f"\nServing at [bold]{stack.url}[/] (API reference: {stack.url}/docs)\n"
        f"Clinician: {login.username}, password: {login.password}\n"
        f"  dermtriage worklist --server {stack.url} --username {login.username}"
        f" --password={login.password}\n"
        f"Clinic's API key: {login.clinic_key}\n"
        f"Logs in {escape(str(stack.logs))}. Ctrl-C stops everything.",
        soft_wrap=True,
    )


def _wait() -> None:
    # Being stopped is how this is meant to end.
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    err.print("Stopping …")

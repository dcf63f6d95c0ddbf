"""`demo`: show the whole way of photographs on a temporary system."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from dermtriage_cli.embedded.shutdown_signals import orderly_shutdown, wait_for_shutdown
from dermtriage_cli.terminal.options import Port
from dermtriage_cli.terminal.output import err, out, print_error, steps

if TYPE_CHECKING:
    from dermtriage_cli.demo.run import DemoResult


def demo(
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Your own photographs, or folders of them; by default, samples are drawn.",
            exists=True,
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
    count: Annotated[int, typer.Option(min=1, help="Number of samples to draw.")] = 24,
    seed: Annotated[int, typer.Option(help="The same seed draws the same samples.")] = 1,
    port: Port = None,
) -> None:
    """Send photographs to a temporary system, and show the worklist.

    The system and its data are removed at the end.

    Example: dermtriage demo --once
    """
    from dermtriage_cli.demo.accounts import create_demo_accounts
    from dermtriage_cli.demo.run import run_demo
    from dermtriage_cli.embedded.stack import Stack
    from dermtriage_cli.views.access import access_text

    with orderly_shutdown(), ExitStack() as exit_stack:
        folder = Path(exit_stack.enter_context(TemporaryDirectory(prefix="dermtriage-demo-")))
        with steps() as step:
            stack = exit_stack.enter_context(Stack(folder, port=port, on_step=step))
        accounts = create_demo_accounts(stack.settings)
        result = run_demo(
            stack.url, accounts, images or [], count=count, seed=seed, check=stack.check
        )
        _print(result)
        if once:
            raise typer.Exit(1 if result.faults else 0)
        out.print(access_text(stack.url, stack.logs, accounts), soft_wrap=True)
        wait_for_shutdown(stack.check_servers)
        err.print("Stopping …")


def _print(result: "DemoResult") -> None:
    from dermtriage_cli.views.worklist import worklist_table

    out.print(worklist_table(result.lines, result.cases))
    for fault in result.faults:
        print_error(fault)
    if not result.faults:
        out.print(
            f"{len(result.lines)} cases, all scored; the order is right:"
            " lane, then due time, then arrival."
        )

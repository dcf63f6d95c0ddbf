"""`dev`: run the whole system for development."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from dermtriage_cli.embedded.shutdown_signals import orderly_shutdown, wait_for_shutdown
from dermtriage_cli.terminal.options import DATA_DIR, Port
from dermtriage_cli.terminal.output import err, out, steps


def dev(
    data_dir: Annotated[
        Path, typer.Option(help="Folder of the development system.", file_okay=False)
    ] = DATA_DIR / "dev",
    samples: Annotated[
        int, typer.Option(min=0, help="Number of samples that a new system gets.")
    ] = 24,
    port: Port = None,
) -> None:
    """Run the whole system for development: services restart when their Python files change.

    API, worker and upkeep each watch the packages that they use. A new system gets a clinic, a
    clinician and drawn samples; the accounts are printed at each start. Ctrl-C stops everything.
    Remove the data folder to begin anew, for instance after a change of a migration.

    Example: dermtriage dev --port 8080
    """
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.development.seed import (
        development_accounts,
        refuse_foreign_database,
        send_samples,
    )
    from dermtriage_cli.embedded.stack import Stack
    from dermtriage_cli.views.access import access_text

    refuse_foreign_database(get_settings())
    # Shows which file has changed, and what restarts.
    logging.basicConfig(format="%(message)s")
    logging.getLogger("dermtriage_cli").setLevel(logging.INFO)
    with orderly_shutdown(), ExitStack() as exit_stack:
        with steps() as step:
            stack = exit_stack.enter_context(Stack(data_dir, port=port, reload=True, on_step=step))
        accounts = development_accounts(stack.settings, data_dir)
        send_samples(stack.url, accounts, samples)
        out.print(access_text(stack.url, stack.logs, accounts), soft_wrap=True)
        wait_for_shutdown(stack.check_servers)
        err.print("Stopping …")

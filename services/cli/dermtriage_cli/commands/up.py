"""`up`: run the whole system on this machine."""

from contextlib import ExitStack

from rich.markup import escape

from dermtriage_cli.embedded.shutdown_signals import orderly_shutdown, wait_for_shutdown
from dermtriage_cli.terminal.options import DATA_DIR, DataDir, Port
from dermtriage_cli.terminal.output import err, out, steps


def up(data_dir: DataDir = DATA_DIR, port: Port = None) -> None:
    """Run the whole system on this machine, and keep its data in a folder.

    PostgreSQL and Redis are started too, unless DERMTRIAGE_DATABASE_URL and
    DERMTRIAGE_REDIS_URL name your own servers. What dies is started again. Ctrl-C or TERM stops
    everything.

    Example: dermtriage up --data-dir /srv/dermtriage --port 8080
    """
    from dermtriage_cli.embedded.stack import Stack

    with orderly_shutdown(), ExitStack() as exit_stack:
        with steps() as step:
            stack = exit_stack.enter_context(Stack(data_dir, port=port, on_step=step))
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
        wait_for_shutdown(stack.check_servers)
        err.print("Stopping …")

"""`doctor`: check everything that the system needs."""

from dataclasses import asdict

import typer
from rich.markup import escape
from rich.table import Table

from dermtriage_cli.terminal.options import DATA_DIR, DataDir, Json
from dermtriage_cli.terminal.output import out, print_json


def doctor(data_dir: DataDir = DATA_DIR, as_json: Json = False) -> None:
    """Check everything that the system needs, and show what to do. Exits 1 if a check fails.

    Example: dermtriage doctor --json
    """
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.doctor.checks import check_all

    checks = list(check_all(data_dir, get_settings()))
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        table = Table(show_header=False, box=None)
        for check in checks:
            table.add_row(
                "[green]ok[/]" if check.ok else "[bold red]failed[/]",
                check.name,
                escape(f"{check.detail} {check.remedy}".strip()),
            )
        out.print(table)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)

"""`db` and `doctor`: what an operator does."""

from dataclasses import asdict

import typer
from rich.markup import escape
from rich.table import Table

from dermtriage_cli.commands.options import DATA_DIR, DataDir, Json
from dermtriage_cli.output import out, print_json

database = typer.Typer(help="Care for the database.", no_args_is_help=True)


@database.command()
def upgrade(data_dir: DataDir = DATA_DIR) -> None:
    """Migrate the database; a new one gets the shipped release and its policy.

    Safe to repeat, and to run from several machines at once.

    Example: DERMTRIAGE_DATABASE_URL=… dermtriage db upgrade
    """
    from dermtriage_cli.embedded.installation import settings_of
    from dermtriage_cli.migration import prepare_database

    installed = prepare_database(settings_of(data_dir))
    out.print("The database is at the newest migration.")
    if installed:
        out.print(f"Release {escape(installed)} is active, with the policy that it proposes.")


def doctor(data_dir: DataDir = DATA_DIR, as_json: Json = False) -> None:
    """Check everything that the system needs and say what to do. Exits 1 if a check fails.

    Example: dermtriage doctor --json
    """
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.health import check_all

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

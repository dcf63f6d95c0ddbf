"""`db`: bring the database to the newest schema."""

import typer
from rich.markup import escape

from dermtriage_cli.terminal.options import DATA_DIR, DataDir
from dermtriage_cli.terminal.output import out

db = typer.Typer(help="Maintain the database.", no_args_is_help=True)


@db.command()
def upgrade(data_dir: DataDir = DATA_DIR) -> None:
    """Migrate the database to the newest schema.

    A new database gets the shipped release and policy, and is paired with its image store, which
    has to be empty. It is safe to repeat this, and to run it on several machines at once.

    Example: DERMTRIAGE_DATABASE_URL=… dermtriage db upgrade
    """
    from dermtriage_cli.database.upgrade import upgrade_database
    from dermtriage_cli.embedded.data_dir import resolve_settings

    upgraded = upgrade_database(resolve_settings(data_dir))
    out.print("The database has the newest schema.")
    if upgraded.release:
        out.print(
            f"Release {escape(upgraded.release)} is active, with the policy that it proposes."
        )
    if upgraded.store_identity:
        out.print(f"Database and image store are paired by {upgraded.store_identity}.")

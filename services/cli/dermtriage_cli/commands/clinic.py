"""`clinic`: add, list and revoke clinics."""

from typing import Annotated

import typer
from rich.markup import escape

from dermtriage_cli.database.sessions import open_session
from dermtriage_cli.terminal.options import DATA_DIR, DataDir, Json
from dermtriage_cli.terminal.output import out, print_json
from dermtriage_cli.views.accounts import show_accounts

clinic = typer.Typer(help="Add, list and revoke clinics.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The clinic's name.")]


@clinic.command("add")
def add_clinic(name: Name, data_dir: DataDir = DATA_DIR, as_json: Json = False) -> None:
    """Add a clinic, or a further API key for an existing one. The key is shown only once.

    Example: dermtriage clinic add 'Aldea Norte'
    """
    from dermtriage.accounts import clinics as clinic_accounts

    with open_session(data_dir) as (session, settings):
        settings.require("secret_key")
        added, key = clinic_accounts.add_clinic(
            session, name=name, secret_key=settings.secret_key.get_secret_value()
        )
    if as_json:
        print_json({"id": added.id, "name": added.name, "api_key": key})
        return
    out.print(f"Clinic {escape(added.name)}. Its API key, which will not be shown again:")
    typer.echo(key)


@clinic.command("list")
def list_clinics(data_dir: DataDir = DATA_DIR, as_json: Json = False) -> None:
    """List the clinics with the first characters of their keys.

    Example: dermtriage clinic list --json
    """
    from dermtriage.accounts import clinics as clinic_accounts

    with open_session(data_dir) as (session, _):
        rows = [
            {
                "id": one.id,
                "name": one.name,
                "since": one.created_at,
                "valid_keys": [key.prefix for key in one.keys if key.revoked_at is None],
                "revoked_keys": [key.prefix for key in one.keys if key.revoked_at],
            }
            for one in clinic_accounts.list_clinics(session)
        ]
    show_accounts(rows, as_json=as_json)


@clinic.command("revoke")
def revoke_clinic(name: Name, data_dir: DataDir = DATA_DIR) -> None:
    """Revoke all keys of a clinic. Its cases stay.

    Example: dermtriage clinic revoke 'Aldea Norte'
    """
    from dermtriage.accounts import clinics as clinic_accounts

    with open_session(data_dir) as (session, _):
        count = clinic_accounts.revoke_clinic(session, name=name)
    out.print(f"{count} keys of {escape(name)} revoked.")

"""`clinic` and `clinician`: who may send and who may read."""

import secrets
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from dermtriage.core.enums import Role
from dermtriage_cli.commands.database import open_session
from dermtriage_cli.commands.options import DATA_DIR, DataDir, Json
from dermtriage_cli.output import out, print_json

clinics = typer.Typer(help="Add, list and revoke clinics.", no_args_is_help=True)
clinicians = typer.Typer(help="Add, list and disable clinicians.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The clinic's name.")]
Username = Annotated[str, typer.Argument(help="The name to log in with.")]


@clinics.command("add")
def add_clinic(name: Name, data_dir: DataDir = DATA_DIR, as_json: Json = False) -> None:
    """Add a clinic, or another key to one that is there; its API key is shown this once.

    Example: dermtriage clinic add 'Aldea Norte'
    """
    from dermtriage.accounts import clinics as clinic_accounts

    with open_session(data_dir) as (session, settings):
        settings.require("secret_key")
        clinic, key = clinic_accounts.add_clinic(
            session, name=name, secret_key=settings.secret_key.get_secret_value()
        )
    if as_json:
        print_json({"id": clinic.id, "name": clinic.name, "api_key": key})
        return
    out.print(f"Clinic {escape(clinic.name)}. Its API key, which cannot be shown again:")
    typer.echo(key)


@clinics.command("list")
def list_clinics(data_dir: DataDir = DATA_DIR, as_json: Json = False) -> None:
    """List the clinics with the beginnings of their keys.

    Example: dermtriage clinic list --json
    """
    from dermtriage.accounts import clinics as clinic_accounts

    with open_session(data_dir) as (session, _):
        rows = [
            {
                "id": clinic.id,
                "name": clinic.name,
                "since": clinic.created_at,
                "valid_keys": [key.prefix for key in clinic.keys if key.revoked_at is None],
                "revoked_keys": [key.prefix for key in clinic.keys if key.revoked_at],
            }
            for clinic in clinic_accounts.list_clinics(session)
        ]
    _show(rows, as_json)


@clinics.command("revoke")
def revoke_clinic(name: Name, data_dir: DataDir = DATA_DIR) -> None:
    """Revoke all keys of a clinic; its cases stay.

    Example: dermtriage clinic revoke 'Aldea Norte'
    """
    from dermtriage.accounts import clinics as clinic_accounts

    with open_session(data_dir) as (session, _):
        count = clinic_accounts.revoke_clinic(session, name=name)
    out.print(f"{count} keys of {escape(name)} revoked.")


@clinicians.command("add")
def add_clinician(
    username: Username,
    name: Annotated[str, typer.Option(help="As colleagues know them.")] = "",
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.CLINICIAN,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask for the password instead of making one.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Add a clinician with a password that is made and shown this once, or asked for.

    Example: dermtriage clinician add m.okafor --name 'Dr M. Okafor'
    """
    from dermtriage.accounts import clinicians as clinician_accounts

    password = (
        typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        if ask
        else secrets.token_urlsafe(15)
    )
    with open_session(data_dir) as (session, _):
        clinician_accounts.add_clinician(
            session,
            username=username,
            display_name=name or username,
            password=password,
            role=role,
        )
    if as_json:
        made = {} if ask else {"password": password}
        print_json({"username": username, "role": role, **made})
        return
    out.print(f"Clinician {escape(username)} ({role}) added.")
    if not ask:
        out.print("The password, which cannot be shown again:")
        typer.echo(password)


@clinicians.command("list")
def list_clinicians(data_dir: DataDir = DATA_DIR, as_json: Json = False) -> None:
    """List the clinicians.

    Example: dermtriage clinician list
    """
    from dermtriage.accounts import clinicians as clinician_accounts

    with open_session(data_dir) as (session, _):
        rows = [
            {
                "username": one.username,
                "name": one.display_name,
                "role": one.role,
                "since": one.created_at,
                "disabled": one.disabled_at,
            }
            for one in clinician_accounts.list_clinicians(session)
        ]
    _show(rows, as_json)


@clinicians.command("disable")
def disable_clinician(username: Username, data_dir: DataDir = DATA_DIR) -> None:
    """Keep a clinician from logging in and end their sessions; their decisions stay.

    Example: dermtriage clinician disable m.okafor
    """
    from dermtriage.accounts import clinicians as clinician_accounts

    with open_session(data_dir) as (session, _):
        clinician_accounts.disable_clinician(session, username=username)
    out.print(f"Clinician {escape(username)} disabled.")


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print("None yet.")
        return
    table = Table()
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "))
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    out.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M")
    return "" if value is None else str(value)

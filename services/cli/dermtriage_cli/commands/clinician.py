"""`clinician`: add, list and disable clinicians."""

import secrets
from typing import Annotated

import typer
from rich.markup import escape

from dermtriage.core.enums import Role
from dermtriage_cli.database.sessions import open_session
from dermtriage_cli.terminal.options import DATA_DIR, DataDir, Json
from dermtriage_cli.terminal.output import out, print_json
from dermtriage_cli.views.accounts import show_accounts

clinician = typer.Typer(help="Add, list and disable clinicians.", no_args_is_help=True)

Username = Annotated[str, typer.Argument(help="The name to log in with.")]


@clinician.command("add")
def add_clinician(
    username: Username,
    name: Annotated[
        str, typer.Option(help="Full name, as colleagues see it; by default the username.")
    ] = "",
    role: Annotated[Role, typer.Option(help="The clinician's role.")] = Role.CLINICIAN,
    prompt: Annotated[
        bool, typer.Option("--ask", help="Type the password instead of having one generated.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Add a clinician. The password is generated and shown only once, or typed with --ask.

    Example: dermtriage clinician add m.okafor --name 'Dr M. Okafor'
    """
    from dermtriage.accounts import clinicians as clinician_accounts

    password = (
        typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        if prompt
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
        made = {} if prompt else {"password": password}
        print_json({"username": username, "role": role, **made})
        return
    out.print(f"Clinician {escape(username)} ({role}) added.")
    if not prompt:
        out.print("The password, which will not be shown again:")
        typer.echo(password)


@clinician.command("list")
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
    show_accounts(rows, as_json=as_json)


@clinician.command("disable")
def disable_clinician(username: Username, data_dir: DataDir = DATA_DIR) -> None:
    """End a clinician's sessions and refuse further logins. Their decisions stay.

    Example: dermtriage clinician disable m.okafor
    """
    from dermtriage.accounts import clinicians as clinician_accounts

    with open_session(data_dir) as (session, _):
        clinician_accounts.disable_clinician(session, username=username)
    out.print(f"Clinician {escape(username)} disabled.")

"""`worklist`: show the clinicians' review queue."""

from itertools import islice
from typing import Annotated

import typer

from dermtriage_cli.terminal.options import SERVER, Json, Server
from dermtriage_cli.terminal.output import err, out, print_json


def worklist(
    username: Annotated[
        str,
        typer.Option(envvar="DERMTRIAGE_USERNAME", prompt=True, help="The clinician's username."),
    ],
    password: Annotated[
        str,
        typer.Option(
            envvar="DERMTRIAGE_PASSWORD",
            prompt=True,
            hide_input=True,
            help="Type it, or set it in the environment: others can see command lines.",
        ),
    ],
    server: Server = SERVER,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many cases.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the worklist as clinicians see it, the most urgent case first.

    Example: DERMTRIAGE_PASSWORD=… dermtriage worklist --username m.okafor --json
    """
    from dermtriage_cli import api_client as api
    from dermtriage_cli.views.worklist import worklist_table

    with api.open_client(server) as client:
        api.login(client, username, password)
        lines = list(islice(api.worklist(client), limit + 1))
    more = len(lines) > limit
    if as_json:
        print_json(lines[:limit])
    else:
        out.print(worklist_table(lines[:limit]))
    if more:
        err.print(f"Only the first {limit} cases are shown; see --limit.")

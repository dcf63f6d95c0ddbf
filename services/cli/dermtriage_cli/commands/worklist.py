"""`worklist`: what clinicians read."""

from itertools import islice
from typing import Annotated

import typer

from dermtriage_cli.commands.options import SERVER, Json, Server
from dermtriage_cli.output import err, out, print_json


def worklist(
    username: Annotated[
        str, typer.Option(envvar="DERMTRIAGE_USERNAME", prompt=True, help="The clinician's name.")
    ],
    password: Annotated[
        str,
        typer.Option(
            envvar="DERMTRIAGE_PASSWORD",
            prompt=True,
            hide_input=True,
            help="Better set in the environment or typed: others see command lines.",
        ),
    ],
    server: Server = SERVER,
    limit: Annotated[int, typer.Option(min=1, help="How many cases to show at most.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the worklist as clinicians see it, the most urgent case first.

    Example: DERMTRIAGE_PASSWORD=… dermtriage worklist --username m.okafor --json
    """
    from dermtriage_cli import client as api
    from dermtriage_cli.views import worklist_table

    with api.open_client(server) as client:
        api.login(client, username, password)
        lines = list(islice(api.worklist(client), limit + 1))
    more = len(lines) > limit
    if as_json:
        print_json(lines[:limit])
    else:
        out.print(worklist_table(lines[:limit]))
    if more:
        err.print(f"There are more than these {limit}; see --limit.")

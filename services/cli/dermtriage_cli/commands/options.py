"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from dermtriage_cli.embedded.installation import DEFAULT_DATA_DIR

DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        help="Folder of the embedded stack; not looked at where DERMTRIAGE_DATABASE_URL is set.",
        file_okay=False,
    ),
]
DATA_DIR = DEFAULT_DATA_DIR

Photographs = Annotated[
    list[Path],
    typer.Argument(help="Photographs (JPEG, PNG) and folders of them.", exists=True),
]

Table = Annotated[
    Path | None,
    typer.Option(
        "--metadata",
        help="CSV file with a row a photograph; its column `image` holds the file's name"
        " without the ending.",
        exists=True,
        dir_okay=False,
    ),
]

Server = Annotated[
    str,
    typer.Option(envvar="DERMTRIAGE_SERVER", help="URL of the server."),
]
SERVER = "http://127.0.0.1:8000"

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

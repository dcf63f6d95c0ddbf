"""Options that several commands share."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from dermtriage_cli.embedded.data_dir import DEFAULT_DATA_DIR

DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        help="Folder of the embedded stack; ignored if DERMTRIAGE_DATABASE_URL is set.",
        file_okay=False,
    ),
]
DATA_DIR = DEFAULT_DATA_DIR

Photographs = Annotated[
    list[Path],
    typer.Argument(help="Photographs (JPEG or PNG), or folders of them.", exists=True),
]

MetadataTable = Annotated[
    Path | None,
    typer.Option(
        "--metadata",
        help="CSV file with one row per photograph; its column `image` contains the file"
        " name without the ending.",
        exists=True,
        dir_okay=False,
    ),
]

Server = Annotated[
    str,
    typer.Option(envvar="DERMTRIAGE_SERVER", help="URL of the server."),
]
SERVER = "http://127.0.0.1:8000"

Release = Annotated[
    str | None, typer.Option(help="Name or folder of the release; by default the shipped one.")
]

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]

RunId = Annotated[
    UUID, typer.Argument(metavar="RUN", help="Id of the rescore run.", show_default=False)
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

Port = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=65535,
        help="Port of the API on this machine; by default 8000, or a free one if that is in use.",
    ),
]

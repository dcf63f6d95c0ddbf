"""`model-card`: write the model card of a release."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dermtriage_cli.terminal.options import Release
from dermtriage_cli.terminal.output import out as output


def model_card(
    report: Annotated[
        Path,
        typer.Option(help="Folder written by `evaluate`.", exists=True, file_okay=False),
    ],
    explanations: Annotated[
        Path,
        typer.Option(
            help="File written by `evaluate-explanations --json`.",
            exists=True,
            dir_okay=False,
        ),
    ],
    release: Release = None,
    out: Annotated[
        Path,
        typer.Option(help="The document to write; plots go to a folder beside it.", dir_okay=False),
    ] = Path("docs/model-card.md"),
) -> None:
    """Write the model card of a release from its measurements.

    Example: dermtriage model-card --report runs/report --explanations runs/explanations.json
    """
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.releases.folders import release_folder
    from dermtriage_worker.ensemble.manifest_file import read_manifest
    from dermtriage_worker.evaluation.model_card import write_model_card

    folder = release_folder(get_settings(), release)
    write_model_card(out, read_manifest(folder), report, explanations)
    output.print(f"Model card: {escape(str(out))}")

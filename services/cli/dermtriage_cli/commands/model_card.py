"""`model-card`: what everyone should know of a release before they rely on it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dermtriage_cli.output import out as output


def model_card(
    report: Annotated[
        Path,
        typer.Option(help="Folder that `evaluate` has written.", exists=True, file_okay=False),
    ],
    explanations: Annotated[
        Path,
        typer.Option(
            help="File that `evaluate-explanations --json` has written.",
            exists=True,
            dir_okay=False,
        ),
    ],
    release: Annotated[
        str | None,
        typer.Option(help="Name or folder of a release; the shipped one by default."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The document; plots go to a folder beside it.", dir_okay=False)
    ] = Path("docs/model-card.md"),
) -> None:
    """Write the model card of a release from its measurements.

    Example: dermtriage model-card --report runs/report --explanations runs/explanations.json
    """
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.offline import release_folder
    from dermtriage_worker.ensemble.manifest import read_manifest
    from dermtriage_worker.evaluation.model_card import write_model_card

    folder = release_folder(get_settings(), release)
    write_model_card(out, read_manifest(folder), report, explanations)
    output.print(f"Model card: {escape(str(out))}")

"""`evaluate-explanations`: measure whether heat maps point at lesions."""

from pathlib import Path
from typing import Annotated

import typer

from dermtriage_cli.terminal.options import Device, Json, Release
from dermtriage_cli.terminal.output import out, print_json, progress


def evaluate_explanations(
    data: Annotated[
        Path,
        typer.Option(
            envvar="DERMTRIAGE_DATA",
            help="Folder of HAM10000, with the segmentation masks in masks_200x150.",
            exists=True,
            file_okay=False,
        ),
    ],
    release: Release = None,
    sample: Annotated[
        int,
        typer.Option(
            min=1,
            help="Photographs whose mask misses the centre; as many of any kind are added.",
        ),
    ] = 150,
    as_json: Json = False,
    device: Device = "auto",
) -> None:
    """Measure the heat maps of a release against segmentation masks, out of fold.

    Example: dermtriage evaluate-explanations --data ham10000 --sample 150
    """
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.releases.folders import release_folder
    from dermtriage_cli.views.explanations import explanations_table
    from dermtriage_worker.ensemble.inference import Ensemble
    from dermtriage_worker.evaluation.attribution import measure_explanations
    from dermtriage_worker.training.data import read_records
    from dermtriage_worker.training.training_folds import TrainingFolds

    folder = release_folder(get_settings(), release)
    ensemble = Ensemble.load(folder, device)
    records = read_records(data)
    with progress() as bars:
        task = bars.add_task("Explaining", total=2 * sample)
        figures = measure_explanations(
            ensemble,
            records,
            data,
            training_folds=TrainingFolds.of(folder, ensemble.manifest),
            sample=sample,
            on_progress=lambda done: bars.advance(task, done),
        )
    if as_json:
        print_json(figures.model_dump(mode="json"))
    else:
        out.print(explanations_table(figures))

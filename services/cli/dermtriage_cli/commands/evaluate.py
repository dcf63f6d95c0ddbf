"""`evaluate`: measure a release on photographs with known diagnoses."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dermtriage_cli.terminal.options import Device, Release
from dermtriage_cli.terminal.output import out, progress

if TYPE_CHECKING:
    from rich.progress import TaskID


def evaluate(
    images: Annotated[
        Path, typer.Option(help="Folder of the photographs.", exists=True, file_okay=False)
    ],
    labels: Annotated[
        Path,
        typer.Option(
            help="CSV file: the ground truth of ISIC 2018 Task 3, or HAM10000's metadata.",
            exists=True,
            dir_okay=False,
        ),
    ],
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="CSV file of the ISIC archive with lesion_id, age_approx, sex, anatom_site.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    release: Release = None,
    report: Annotated[Path, typer.Option(help="Folder for the report.", file_okay=False)] = Path(
        "runs/evaluation"
    ),
    out_of_fold: Annotated[
        bool,
        typer.Option(
            "--out-of-fold",
            help="The photographs belong to the training set: score each only with members"
            " that were not trained on its lesion.",
        ),
    ] = False,
    shifts: Annotated[
        bool,
        typer.Option(
            "--shifts",
            help="Also score the photographs under domain shifts, such as other cameras or light.",
        ),
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Measure the shifts on this many lesions of all classes; by default on all.",
        ),
    ] = None,
    no_inputs: Annotated[
        bool,
        typer.Option("--no-inputs", help="Score the photographs alone, without age, sex and site."),
    ] = False,
    device: Device = "auto",
) -> None:
    """Measure a release on labelled photographs, and write a report (HTML and JSON).

    Photographs that the release was trained on are refused without --out-of-fold. Every figure
    has a 95 % confidence interval by lesion.

    Example: dermtriage evaluate --images ISIC2018_Task3_Test_Input
    --labels ISIC2018_Task3_Test_GroundTruth.csv --report reports/isic2018
    """
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.releases.folders import release_folder
    from dermtriage_cli.views.evaluation import evaluation_table
    from dermtriage_worker.ensemble.inference import Ensemble
    from dermtriage_worker.evaluation.labelled import read_labelled
    from dermtriage_worker.evaluation.measure import measure
    from dermtriage_worker.evaluation.report import write_report
    from dermtriage_worker.training.training_folds import TrainingFolds

    if sample is not None and not shifts:
        raise typer.BadParameter("It needs --shifts.", param_hint="--sample")
    labelled = read_labelled(images, labels, metadata)
    if no_inputs:
        labelled = [replace(photograph, inputs={}) for photograph in labelled]
    folder = release_folder(get_settings(), release)
    ensemble = Ensemble.load(folder, device)
    tasks: dict[str, TaskID] = {}
    with progress() as bars:

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(escape(step), total=total)
            bars.advance(tasks[step], done)

        measurement = measure(
            ensemble,
            labelled,
            training_folds=TrainingFolds.of(folder, ensemble.manifest),
            out_of_fold=out_of_fold,
            with_shifts=shifts,
            sample=sample,
            on_progress=show,
        )
    written = write_report(measurement, report, images=images, labels=labels)
    out.print(evaluation_table(measurement))
    out.print(f"Report: {escape(str(written.page))}")
    out.print(f"Figures: {escape(str(written.figures))}")

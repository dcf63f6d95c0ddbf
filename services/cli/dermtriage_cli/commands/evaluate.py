"""`evaluate`: how good a release is on photographs whose diagnosis is known."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table as RichTable

from dermtriage_cli.output import out, progress

if TYPE_CHECKING:
    from rich.progress import TaskID

    from dermtriage_worker.evaluation.measure import Measurement
    from dermtriage_worker.evaluation.results import Estimate

_HEADLINE = {
    "auc": "Malignancy AUC",
    "balanced_accuracy": "Balanced accuracy, 7 classes",
    "balanced_accuracy_adjusted": "  with the class frequencies taken out",
    "specificity_at_95_sensitivity": "Specificity at 95 % sensitivity",
    "sensitivity_lower": "Sensitivity at the lower threshold",
    "specificity_lower": "Specificity at the lower threshold",
    "sensitivity_upper": "Sensitivity at the upper threshold",
    "specificity_upper": "Specificity at the upper threshold",
    "severe_called_low": "Severe called low",
    "benign_called_low": "Benign cleared",
    "sensitivity_upper_by_lesion": "Lesions in the severe lane, of the severe",
    "specificity_upper_by_lesion": "Lesions out of the severe lane, of the benign",
    "severe_called_low_by_lesion": "Severe lesions called low",
    "calibration_error": "Calibration error of p(severe)",
    "out_of_scope": "Flagged out of scope",
}


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
    release: Annotated[
        str | None,
        typer.Option(help="Name or folder of a release; the shipped one by default."),
    ] = None,
    report: Annotated[
        Path, typer.Option(help="Folder that receives the report.", file_okay=False)
    ] = Path("runs/evaluation"),
    out_of_fold: Annotated[
        bool,
        typer.Option(
            "--out-of-fold",
            help="The photographs are of the training set: score each by those members alone"
            " that never saw its lesion.",
        ),
    ] = False,
    shifts: Annotated[
        bool,
        typer.Option(
            "--shifts", help="Also score the photographs as other cameras would have taken them."
        ),
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Measure the shifts on this many lesions, class by class; on all by default.",
        ),
    ] = None,
    no_inputs: Annotated[
        bool, typer.Option("--no-inputs", help="Judge by the photographs alone: no age, sex, site.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Measure a release on labelled photographs, and write a report (HTML, JSON beside it).

    Photographs that the release has learnt from are refused, but with --out-of-fold. Every
    figure comes with its 95 % interval by lesion.

    Example: dermtriage evaluate --images ISIC2018_Task3_Test_Input
    --labels ISIC2018_Task3_Test_GroundTruth.csv --report reports/isic2018
    """
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.offline import release_folder
    from dermtriage_worker.ensemble.inference import Ensemble
    from dermtriage_worker.evaluation.labelled import read_labelled
    from dermtriage_worker.evaluation.measure import measure
    from dermtriage_worker.evaluation.report import write_report
    from dermtriage_worker.training.seen import Seen

    if sample is not None and not shifts:
        raise typer.BadParameter("goes with --shifts.", param_hint="--sample")
    labelled = read_labelled(images, labels, metadata)
    if no_inputs:
        labelled = [replace(one, inputs={}) for one in labelled]
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
            seen=Seen.of(folder, ensemble.manifest),
            out_of_fold=out_of_fold,
            with_shifts=shifts,
            sample=sample,
            on_progress=show,
        )
    written = write_report(measurement, report, images=images, labels=labels)
    out.print(_table(measurement))
    out.print(f"Report: {escape(str(written.page))}")
    out.print(f"Figures: {escape(str(written.figures))}")


def _table(measurement: "Measurement") -> RichTable:
    evaluation = measurement.evaluation
    table = RichTable(
        title=f"Release {escape(measurement.manifest.name)} on {evaluation.photographs:,}"
        f" photographs of {evaluation.lesions:,} lesions, {evaluation.severe:,} severe"
        f"{', out of fold' if measurement.out_of_fold else ''}",
        title_justify="left",
    )
    for heading in ("Figure", "Value", "95 % interval", "Photographs"):
        table.add_column(heading, justify="left" if heading == "Figure" else "right")
    for name, label in _HEADLINE.items():
        if (estimate := evaluation.figures.get(name)) is not None:
            table.add_row(label, *_cells(estimate))
    if measurement.shifts is not None:
        table.add_section()
        for row in measurement.shifts.shifts:
            table.add_row(f"AUC: {row.description}", *_cells(row.auc))
    return table


def _cells(estimate: "Estimate") -> tuple[str, str, str]:
    return (
        f"{estimate.value:.3f}",
        f"{estimate.low:.3f} to {estimate.high:.3f}",
        f"{estimate.photographs:,}",
    )

"""`evaluate-explanations`: whether heat maps look at lesions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table as RichTable

from dermtriage_cli.commands.options import Json
from dermtriage_cli.output import out, print_json, progress

if TYPE_CHECKING:
    from dermtriage_worker.evaluation.attribution import ExplanationFigures


def evaluate_explanations(
    data: Annotated[
        Path,
        typer.Option(
            envvar="DERMTRIAGE_DATA",
            help="HAM10000's folder, with the segmentation masks in masks_200x150.",
            exists=True,
            file_okay=False,
        ),
    ],
    release: Annotated[
        str | None,
        typer.Option(help="Name or folder of a release; the shipped one by default."),
    ] = None,
    sample: Annotated[
        int,
        typer.Option(
            min=1,
            help="Photographs whose mask misses the centre, and as many of any kind.",
        ),
    ] = 150,
    as_json: Json = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Measure the heat maps of a release against segmentation masks, out of fold.

    Example: dermtriage evaluate-explanations --data ham10000 --sample 150
    """
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.offline import release_folder
    from dermtriage_worker.ensemble.inference import Ensemble
    from dermtriage_worker.evaluation.attribution import measure_explanations
    from dermtriage_worker.training.data import read_records
    from dermtriage_worker.training.seen import Seen

    folder = release_folder(get_settings(), release)
    ensemble = Ensemble.load(folder, device)
    records = read_records(data)
    with progress() as bars:
        task = bars.add_task("Explaining", total=2 * sample)
        figures = measure_explanations(
            ensemble,
            records,
            data,
            seen=Seen.of(folder, ensemble.manifest),
            sample=sample,
            on_progress=lambda done: bars.advance(task, done),
        )
    if as_json:
        print_json(figures.model_dump(mode="json"))
    else:
        out.print(_table(figures))


def _table(figures: "ExplanationFigures") -> RichTable:
    table = RichTable(title=f"Heat maps of release {escape(figures.release)}", title_justify="left")
    table.add_column("Photographs")
    table.add_column("Map")
    for heading in ("Peaks inside", "Energy inside"):
        table.add_column(heading, justify="right")
    samples = (("mask misses the centre", figures.off_centre), ("any", figures.any))
    for name, sample in samples:
        label = f"{sample.photographs}: {name}"
        kinds = (
            ("heat map", sample.heat_map),
            ("of untrained networks", sample.untrained),
            ("contrast alone", sample.contrast),
        )
        for kind, one in kinds:
            table.add_row(label, kind, f"{one.peaks_inside:.3f}", f"{one.energy_inside:.3f}")
        table.add_row(label, "centred disc", "", f"{sample.disc_inside:.3f}")
        table.add_section()
    return table

"""`score`: score photographs on this machine, without a server."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dermtriage_cli.terminal.options import Device, Json, MetadataTable, Photographs, Release
from dermtriage_cli.terminal.output import (
    err,
    out,
    print_error,
    print_json,
    print_left_out,
    progress,
)

if TYPE_CHECKING:
    from dermtriage_cli.offline_scoring.scoring import Scored
    from dermtriage_worker.ensemble.inference import Ensemble
    from dermtriage_worker.ensemble.metadata import Inputs


def score(
    photographs: Photographs,
    csv_file: Annotated[
        Path | None,
        typer.Option(
            "--csv", help="Write a CSV file with one row per photograph; - is standard output."
        ),
    ] = None,
    as_json: Json = False,
    metadata: MetadataTable = None,
    release: Release = None,
    device: Device = "auto",
    explain: Annotated[
        Path | None,
        typer.Option(help="Folder for a heat map of each severe photograph.", file_okay=False),
    ] = None,
) -> None:
    """Score photographs on this machine, as a worker would. No server or database is needed.

    One row per photograph, in the order of the files: image, severity, p_severe, p_akiec, p_bcc,
    p_bkl, p_df, p_mel, p_nv, p_vasc, disagreement, reasons, quality (why to take it again),
    explanation. A photograph that cannot be read has the severity `unscored` and a reason; the
    others are still scored. Exits 1 only if none could be scored.

    With --metadata, the columns `age_approx`, `sex` and `anatom_site` of the CSV file are used for
    scoring as well.

    Example: dermtriage score photos/ --csv scores.csv
    """
    from dermtriage.core.enums import Severity
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.clinic_files.photographs import find_photographs
    from dermtriage_cli.offline_scoring.csv_output import csv_writer
    from dermtriage_cli.offline_scoring.scoring import score_photographs
    from dermtriage_cli.releases.folders import release_folder
    from dermtriage_cli.views.scores import scores_table
    from dermtriage_worker.ensemble.inference import Ensemble

    settings = get_settings()
    files = find_photographs(photographs, metadata)
    print_left_out(files.left_out)
    found = files.photographs
    inputs = _read_inputs(metadata, found) if metadata is not None else {}
    if explain is not None:
        _make_folder(explain, found)
    ensemble = Ensemble.load(release_folder(settings, release), device)
    if metadata is not None and not ensemble.reads_metadata:
        err.print("This release does not use metadata: it scores the photographs alone.")
    results = []
    with progress() as bars, csv_writer(csv_file) as write:
        scoring = bars.add_task(f"Scoring on {ensemble.device}", total=len(found))
        for scored in score_photographs(
            found, ensemble, batch=settings.scoring_batch, inputs=inputs
        ):
            write(scored.row())
            results.append(scored)
            if scored.error:
                bars.console.print(f"{escape(scored.image)}: {escape(scored.error)}")
            bars.advance(scoring)
    if as_json:
        print_json([scored.row() for scored in results])
    elif csv_file is None:
        out.print(scores_table(results))
        for scored in results:
            if scored.severity in {Severity.SEVERE, Severity.INDETERMINATE}:
                out.print(escape(f"{scored.image}: {scored.explanation}"))
    if explain is not None:
        _write_heat_maps(explain, found, results, ensemble)
    if not any(scored.prediction for scored in results):
        print_error("None of the photographs could be scored.")
        raise typer.Exit(1)


def _make_folder(folder: Path, found: Iterable[Path]) -> None:
    from dermtriage.core.errors import ConfigurationError
    from dermtriage_cli.clinic_files.photographs import by_name

    # Each heat map has the name of its photograph: two of one name are an error.
    by_name(found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be created: {error.strerror}.", remedy="Choose another folder."
        ) from error


def _write_heat_maps(
    folder: Path, found: Iterable[Path], results: "Iterable[Scored]", ensemble: "Ensemble"
) -> None:
    from dermtriage.core.enums import Severity
    from dermtriage_cli.clinic_files.photographs import name_of
    from dermtriage_cli.offline_scoring.heat_map import heat_map

    severe = [
        path
        for path, scored in zip(found, results, strict=True)
        if scored.severity is Severity.SEVERE
    ]
    with progress() as bars:
        for path in bars.track(severe, description="Explaining"):
            (folder / f"{name_of(path)}.jpg").write_bytes(heat_map(path, ensemble))
    err.print(f"{len(severe)} heat maps of severe photographs are in {escape(str(folder))}.")


def _read_inputs(path: Path, found: Iterable[Path]) -> "Mapping[str, Inputs]":
    from dermtriage.core.errors import RequestRejected
    from dermtriage_cli.clinic_files.input_table import read_inputs
    from dermtriage_cli.clinic_files.photographs import by_name

    names = set(by_name(found))
    described = {name: inputs for name, inputs in read_inputs(path).items() if name in names}
    if not described:
        raise RequestRejected(
            f"{path} has no row for any of these photographs.",
            remedy="Its column `image` must contain the file names without their endings.",
        )
    err.print(f"{escape(str(path))} describes {len(described)} of {len(names)} photographs.")
    return described

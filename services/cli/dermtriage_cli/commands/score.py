"""`score`: photographs on this machine, without any server."""

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table as RichTable

from dermtriage_cli.commands.options import Json, Photographs, Table
from dermtriage_cli.output import complain, err, out, print_json, progress

if TYPE_CHECKING:
    from dermtriage_cli.offline import Scored
    from dermtriage_worker.ensemble.inference import Ensemble
    from dermtriage_worker.ensemble.metadata import Inputs


def score(
    photographs: Photographs,
    csv_file: Annotated[
        Path | None,
        typer.Option(
            "--csv", help="Write a CSV file with a row a photograph; - is standard output."
        ),
    ] = None,
    as_json: Json = False,
    metadata: Table = None,
    release: Annotated[
        str | None,
        typer.Option(help="Name or folder of a release; the shipped one by default."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    explain: Annotated[
        Path | None,
        typer.Option(
            help="Folder that receives a heat map of each severe photograph.", file_okay=False
        ),
    ] = None,
) -> None:
    """Score photographs with the worker's own code: no server, no database.

    One row a photograph, in the order of the files: image, severity, p_severe, p_akiec, p_bcc,
    p_bkl, p_df, p_mel, p_nv, p_vasc, disagreement, reasons, quality (why to take it again),
    explanation. A photograph that cannot be read has the severity `unscored` and its reason, and
    the others go on. Exits 1 only if none could be scored.

    With --metadata, what the columns `age_approx`, `sex` and `anatom_site` say of a photograph's
    patient counts as well.

    Example: dermtriage score photos/ --csv scores.csv
    """
    from dermtriage.core.enums import Severity
    from dermtriage.core.settings import get_settings
    from dermtriage_cli.offline import release_folder, score_photographs
    from dermtriage_cli.photographs import find_photographs
    from dermtriage_worker.ensemble.inference import Ensemble

    settings = get_settings()
    found = find_photographs(photographs)
    inputs = _read_inputs(metadata, found) if metadata is not None else {}
    if explain is not None:
        _check_folder(explain, found)
    ensemble = Ensemble.load(release_folder(settings, release), device)
    if metadata is not None and not ensemble.reads_metadata:
        err.print("This release judges by the photographs alone.")
    results = []
    with progress() as bars, _csv_writer(csv_file) as write:
        scoring = bars.add_task(f"Scoring on {ensemble.device}", total=len(found))
        for scored in score_photographs(
            found, ensemble, batch=settings.scoring_batch, inputs=inputs
        ):
            write(scored.row())
            results.append(scored)
            if scored.complaint:
                bars.console.print(f"{escape(scored.image)}: {escape(scored.complaint)}")
            bars.advance(scoring)
    if as_json:
        print_json([scored.row() for scored in results])
    elif csv_file is None:
        out.print(_table(results))
        for scored in results:
            if scored.severity in {Severity.SEVERE, Severity.INDETERMINATE}:
                out.print(escape(f"{scored.image}: {scored.explanation}"))
    if explain is not None:
        _write_heat_maps(explain, found, results, ensemble)
    if not any(scored.prediction for scored in results):
        complain("None of the photographs could be scored.")
        raise typer.Exit(1)


def _check_folder(folder: Path, found: Iterable[Path]) -> None:
    from dermtriage.core.errors import ConfigurationError
    from dermtriage_cli.photographs import by_name

    # Each map is named after its photograph.
    by_name(found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be made: {error.strerror}.", remedy="Choose another folder."
        ) from error


def _write_heat_maps(
    folder: Path, found: Iterable[Path], results: "Iterable[Scored]", ensemble: "Ensemble"
) -> None:
    from dermtriage.core.enums import Severity
    from dermtriage_cli.offline import heat_map
    from dermtriage_cli.photographs import name_of

    severe = [
        path
        for path, scored in zip(found, results, strict=True)
        if scored.severity is Severity.SEVERE
    ]
    with progress() as bars:
        for path in bars.track(severe, description="Explaining"):
            (folder / f"{name_of(path)}.jpg").write_bytes(heat_map(path, ensemble))
    err.print(f"{len(severe)} severe photographs are explained in {escape(str(folder))}.")


def _read_inputs(path: Path, found: Iterable[Path]) -> "Mapping[str, Inputs]":
    from dermtriage.core.errors import RequestRejected
    from dermtriage_cli.photographs import by_name
    from dermtriage_cli.tables import read_inputs

    names = set(by_name(found))
    known = {name: inputs for name, inputs in read_inputs(path).items() if name in names}
    if not known:
        raise RequestRejected(
            f"{path} has no row for any of these photographs.",
            remedy="Its column `image` holds the file's name without the ending.",
        )
    err.print(f"{escape(str(path))} describes {len(known)} of {len(names)} photographs.")
    return known


@contextmanager
def _csv_writer(path: Path | None) -> Iterator[Any]:
    """Yield a function that writes a row at once, so that an interruption loses nothing."""
    from dermtriage.core.errors import ConfigurationError
    from dermtriage_cli.offline import COLUMNS

    if path is None:
        yield lambda _: None
        return
    try:
        file = sys.stdout if str(path) == "-" else path.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}.", remedy="Choose another file."
        ) from error
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()

    def write(row: dict[str, Any]) -> None:
        writer.writerow({name: _cell(value) for name, value in row.items()})
        file.flush()

    try:
        yield write
    finally:
        if file is not sys.stdout:
            file.close()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return ";".join(value)
    return f"{value:.6f}" if isinstance(value, float) else value


def _table(results: "Iterable[Scored]") -> RichTable:
    from dermtriage.core.enums import CLASSES
    from dermtriage_cli.views import coloured

    table = RichTable()
    for heading in (
        "Image",
        "Severity",
        "p(severe)",
        *CLASSES,
        "Disagreement",
        "Reasons",
        "Quality",
    ):
        table.add_column(heading)
    for scored in results:
        row = scored.row()
        figures = [row["p_severe"], *(row[f"p_{name}"] for name in CLASSES), row["disagreement"]]
        table.add_row(
            escape(scored.image),
            coloured(scored.severity),
            *(f"{value:.3f}" if isinstance(value, float) else "" for value in figures),
            ", ".join(scored.reasons),
            ", ".join(scored.retake),
        )
    return table

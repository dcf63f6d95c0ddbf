"""`release build`: from a finished training run to a release."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dermtriage_cli.terminal.output import out, progress

if TYPE_CHECKING:
    from rich.progress import TaskID


def build(
    folder: Annotated[
        Path,
        typer.Argument(help="New folder; the release gets its name.", file_okay=False),
    ],
    data: Annotated[
        Path,
        typer.Option(
            envvar="DERMTRIAGE_DATA",
            help="Folder of the training data.",
            exists=True,
            file_okay=False,
        ),
    ],
    run: Annotated[
        Path, typer.Option(help="Folder of the run: --out of `train`.", file_okay=False)
    ] = Path("runs/latest"),
) -> None:
    """Build a release from a finished training run: calibrate, set thresholds and measure.

    Everything is measured out of fold: each photograph by members that did not train on it.

    Example: dermtriage release build releases/2027.1 --data ham10000 --run runs/a
    """
    from dermtriage_worker.training.release import build_release

    tasks: dict[str, TaskID] = {}
    with progress() as bars:

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(escape(step))
            bars.update(tasks[step], completed=done, total=total)

        manifest = build_release(data, run, folder, show)
    out.print(f"Release {escape(manifest.name)} was built in {escape(str(folder))}.")
    for name, figure in manifest.figures.items():
        out.print(f"  {escape(name)}: {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})")

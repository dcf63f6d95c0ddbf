"""`train` and `release build`: from labelled photographs to a release."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dermtriage_cli.output import out, progress

if TYPE_CHECKING:
    from rich.progress import TaskID

    from dermtriage_worker.training.fit import Progress


def train(
    data: Annotated[
        Path,
        typer.Option(
            envvar="DERMTRIAGE_DATA",
            help="HAM10000's folder, or photographs of the ISIC archive with metadata.csv.",
            exists=True,
            file_okay=False,
        ),
    ],
    out_dir: Annotated[
        Path,
        typer.Option("--out", help="Folder of the run; a run that was begun goes on."),
    ] = Path("runs/latest"),
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file; the project's own by default.", exists=True, dir_okay=False),
    ] = None,
    imagenet: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARCHITECTURE=FILE",
            help="ImageNet weights (safetensors) of a pretrained architecture; may be repeated.",
        ),
    ] = None,
    member: Annotated[
        list[str] | None, typer.Option(help="Train this member alone; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or a torch device.")] = "auto",
) -> None:
    """Train every member of every fold; a run that was stopped goes on where it was.

    Reads HAM10000's layout or the ISIC archive's (photographs and a metadata.csv). On two CPU
    cores the default takes a night at most. `dermtriage release build` makes a release of it.

    Example: dermtriage train --data ham10000 --out runs/a
    --imagenet mobilenet_v2_headless=mobilenet_v2.safetensors
    """
    from dermtriage_cli.training_config import read_config, weight_files
    from dermtriage_worker.training.train import train as run_training

    chosen = read_config(config, member or ())
    tasks: dict[tuple[str, int], TaskID] = {}
    with progress() as bars:

        def show(state: "Progress") -> None:
            key = (state.member, state.fold)
            if key not in tasks:
                tasks[key] = bars.add_task("", total=state.epochs * state.steps)
            bars.update(
                tasks[key],
                completed=(state.epoch - 1) * state.steps + state.step,
                description=f"{escape(state.member)}, fold {state.fold}, loss {state.loss:.3f}",
            )

        run_training(
            data, out_dir, chosen, weight_files(imagenet or ()), show, only=member, device=device
        )
    out.print(f"Trained; see {escape(str(out_dir))}.")


def build(
    folder: Annotated[
        Path,
        typer.Argument(help="New folder of the release, which is named after it.", file_okay=False),
    ],
    data: Annotated[
        Path,
        typer.Option(
            envvar="DERMTRIAGE_DATA",
            help="The folder that was trained on.",
            exists=True,
            file_okay=False,
        ),
    ],
    run: Annotated[
        Path, typer.Option(help="The run's folder: --out of `train`.", file_okay=False)
    ] = Path("runs/latest"),
) -> None:
    """Make a release of a finished run: calibrate, set thresholds, measure, all out of fold.

    Example: dermtriage release build releases/2027.1 --data ham10000 --run runs/a
    """
    from dermtriage_worker.training.release import build_release

    tasks: dict[str, TaskID] = {}
    with progress() as bars:

        def show(step: str, done: int, whole: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(escape(step))
            bars.update(tasks[step], completed=done, total=whole)

        manifest = build_release(data, run, folder, show)
    out.print(f"Release {escape(manifest.name)} is in {escape(str(folder))}.")
    for name, figure in manifest.figures.items():
        out.print(f"  {escape(name)}: {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})")

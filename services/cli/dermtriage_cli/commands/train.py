"""`train`: train the members of an ensemble on labelled photographs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dermtriage_cli.terminal.output import out, progress

if TYPE_CHECKING:
    from rich.progress import TaskID

    from dermtriage_worker.training.fit import Progress


def train(
    data: Annotated[
        Path,
        typer.Option(
            envvar="DERMTRIAGE_DATA",
            help="Folder of HAM10000, or of ISIC archive photographs with metadata.csv.",
            exists=True,
            file_okay=False,
        ),
    ],
    out_dir: Annotated[
        Path,
        typer.Option("--out", help="Folder of the run; an interrupted run continues."),
    ] = Path("runs/latest"),
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file; by default the project's own configuration.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    imagenet: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARCHITECTURE=FILE",
            help="ImageNet weights (safetensors) of a pretrained architecture; may be repeated.",
        ),
    ] = None,
    member: Annotated[
        list[str] | None, typer.Option(help="Train only this member; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or a torch device.")] = "auto",
) -> None:
    """Train every member on every fold. An interrupted run continues where it stopped.

    Reads the layout of HAM10000 or of the ISIC archive (photographs and metadata.csv). On two CPU
    cores the default configuration takes at most a night. `dermtriage release build` builds a
    release from the run.

    Example: dermtriage train --data ham10000 --out runs/a
    --imagenet mobilenet_v2_headless=mobilenet_v2.safetensors
    """
    from dermtriage_cli.training.configuration import read_config, weight_files
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
    out.print(f"Training is complete; the run is in {escape(str(out_dir))}.")

"""`train`: make an ensemble from HAM10000."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs: help stays quick.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dermtriage_cli.output import err, out, progress

if TYPE_CHECKING:
    from rich.progress import TaskID

    from dermtriage_worker.training.fit import Progress


def train(
    data: Annotated[
        Path,
        typer.Option(
            envvar="DERMTRIAGE_DATA",
            help="HAM10000's folder: HAM10000_metadata.csv and images_200x150.",
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
        typer.Option(
            help="TOML file; that of the first release by default.", exists=True, dir_okay=False
        ),
    ] = None,
    imagenet: Annotated[
        Path | None,
        typer.Option(
            help="MobileNetV2's ImageNet weights (safetensors), for members with `pretrained`.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    member: Annotated[
        list[str] | None, typer.Option(help="Train this member alone; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or a torch device.")] = "auto",
    release: Annotated[
        Path | None,
        typer.Option(
            help="When all members are trained, build a release into this new folder.",
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Train the ensemble's members, and build a release of them.

    Example: dermtriage train --data ham10000 --imagenet mobilenet_v2.safetensors
    --out runs/a --release releases/2027.1
    """
    from dermtriage_cli.training_config import read_config
    from dermtriage_worker.training.train import train as run_training

    chosen = read_config(config, member or ())
    tasks: dict[str, TaskID] = {}
    with progress() as bars:

        def show(state: "Progress") -> None:
            if state.member not in tasks:
                total = state.epochs * state.steps
                tasks[state.member] = bars.add_task(escape(state.member), total=total)
            bars.update(
                tasks[state.member],
                completed=(state.epoch - 1) * state.steps + state.step,
                description=f"{escape(state.member)}, loss {state.loss:.3f}",
            )

        run_training(data, out_dir, chosen, imagenet, show, only=member, device=device)
    out.print(f"Trained; see {escape(str(out_dir))}.")
    if release is not None:
        from dermtriage_worker.training.release import build_release

        manifest = build_release(data, out_dir, release, lambda step: err.print(escape(step)))
        out.print(f"Release {escape(manifest.name)} is in {escape(str(release))}.")
        for name, figure in manifest.figures.items():
            out.print(
                f"  {escape(name)}: {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
            )

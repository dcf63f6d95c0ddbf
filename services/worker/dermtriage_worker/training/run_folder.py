"""Read the results of a training run."""

import shutil
import subprocess
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from dermtriage.core.errors import DermtriageError
from dermtriage_worker.training.config import MemberConfig, TrainConfig
from dermtriage_worker.training.fit import WEIGHTS_NAME
from dermtriage_worker.training.train import CONFIG_NAME, member_name


class ReleaseNotBuilt(DermtriageError):
    """A release cannot be built from this folder."""

    code = "release_not_built"


def read_config(run: Path) -> TrainConfig:
    """Read the configuration of a run.

    Raises
    ------
    ReleaseNotBuilt
        If the folder holds no run.
    """
    try:
        text = (run / CONFIG_NAME).read_text(encoding="utf-8")
    except OSError as error:
        raise ReleaseNotBuilt(
            f"{run} holds no training run.", remedy="Run `dermtriage train` first."
        ) from error
    return TrainConfig.model_validate_json(text)


def read_weights(run: Path, member: MemberConfig, fold: int) -> dict[str, Tensor]:
    """Read the weights of one fold's member.

    Raises
    ------
    ReleaseNotBuilt
        If its training is not finished.
    """
    name = member_name(member.name, fold)
    path = run / name / WEIGHTS_NAME
    if not path.is_file():
        raise ReleaseNotBuilt(
            f"Member {name} is not trained to its end.",
            remedy="Run `dermtriage train` again: it goes on from its last checkpoint.",
        )
    return load_file(path)


def code_commit() -> str:
    """Return the commit of the running code; empty if it is not a Git checkout."""
    git = shutil.which("git")
    if git is None:
        return ""
    answer = subprocess.run(  # noqa: S603 - no argument comes from outside
        [git, "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip()

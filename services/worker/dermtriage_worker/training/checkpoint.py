"""Stop and go on: what a member needs to resume after a kill."""

from pathlib import Path
from typing import Any

import torch

from dermtriage.errors import DermtriageError

CHECKPOINT_NAME = "checkpoint.pt"


class TrainingMismatch(DermtriageError):
    """A checkpoint or weights file does not belong to the run that wants to use it."""

    code = "training_mismatch"


def save_checkpoint(
    folder: Path, *, digest: str, epoch: int, network: torch.nn.Module, optimizer: Any
) -> None:
    """Write a checkpoint whole or not at all.

    Parameters
    ----------
    digest
        Of the configuration; another one may not resume from here.
    epoch
        How many epochs are done.
    """
    path = folder / CHECKPOINT_NAME
    partial = path.with_suffix(".partial")
    state = {
        "digest": digest,
        "epoch": epoch,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, partial)
    partial.replace(path)


def load_checkpoint(
    folder: Path, *, digest: str, network: torch.nn.Module, optimizer: Any, device: torch.device
) -> int:
    """Restore network and optimizer, and return how many epochs they have seen.

    Raises
    ------
    TrainingMismatch
        If the checkpoint is of another configuration.
    """
    path = folder / CHECKPOINT_NAME
    # An optimizer's state is no flat table of tensors, as safetensors wants it; `weights_only`
    # lets nothing but tensors and plain values through.
    state = torch.load(path, map_location=device, weights_only=True)  # noqa: TID251
    if state["digest"] != digest:
        raise TrainingMismatch(
            f"{path} was made with another configuration.",
            remedy="Train into another folder, or remove it to begin anew.",
        )
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"])

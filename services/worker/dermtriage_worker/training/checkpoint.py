"""Checkpoints: what the training of a member needs to resume after a kill."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from dermtriage.core.errors import DermtriageError

CHECKPOINT_NAME = "checkpoint.pt"


class TrainingMismatch(DermtriageError):
    """A checkpoint or weights file does not belong to the run that wants to use it."""

    code = "training_mismatch"


class Stateful(Protocol):
    """Something with a state to save and restore: a network, an optimizer."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Restore a state."""


def save_checkpoint(
    folder: Path, *, digest: str, epoch: int, parts: Mapping[str, Stateful]
) -> None:
    """Write a checkpoint whole or not at all.

    Parameters
    ----------
    digest
        Of the configuration; another one may not resume from this checkpoint.
    epoch
        Number of finished epochs.
    parts
        Everything whose state is saved, by name.
    """
    path = folder / CHECKPOINT_NAME
    partial = path.with_suffix(".partial")
    states = {name: part.state_dict() for name, part in parts.items()}
    torch.save({"digest": digest, "epoch": epoch} | states, partial)
    partial.replace(path)


def load_checkpoint(
    folder: Path, *, digest: str, parts: Mapping[str, Stateful], device: torch.device
) -> int:
    """Restore the parts and return how many epochs they have seen; 0 without a checkpoint.

    Raises
    ------
    TrainingMismatch
        If the checkpoint is of another configuration.
    """
    path = folder / CHECKPOINT_NAME
    if not path.exists():
        return 0
    # An optimizer's state is not a flat table of tensors, which safetensors requires.
    # `weights_only` lets nothing but tensors and plain values through.
    state = torch.load(path, map_location=device, weights_only=True)  # noqa: TID251
    if state["digest"] != digest:
        raise TrainingMismatch(
            f"{path} was made with another configuration.",
            remedy="Train into another folder, or remove it to begin anew.",
        )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["epoch"])

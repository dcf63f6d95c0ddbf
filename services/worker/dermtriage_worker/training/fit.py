"""Train one member, epoch by epoch, resumable after a kill."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.networks.registry import create_network
from dermtriage_worker.training.augment import Augmentation
from dermtriage_worker.training.checkpoint import load_checkpoint, save_checkpoint
from dermtriage_worker.training.config import MemberConfig, TrainConfig
from dermtriage_worker.training.data import Sample
from dermtriage_worker.training.epoch import TrainingState, train_epoch
from dermtriage_worker.training.loss import class_log_prior
from dermtriage_worker.training.pretrained import imagenet_weights, load_pretrained
from dermtriage_worker.training.schedule import phase_of, square_size
from dermtriage_worker.training.validation import validate

CURVES_NAME = "curves.jsonl"
WEIGHTS_NAME = "weights.safetensors"


@dataclass(frozen=True)
class Progress:
    """How far the training of one member is.

    Attributes
    ----------
    epoch, step
        Number of the running epoch and of its last finished step, from 1.
    loss
        Mean loss of the epoch so far.
    seconds_left
        For this member alone, at the pace since this process took it up.
    """

    member: str
    fold: int
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    seconds_left: float


def train_member(
    member: MemberConfig,
    config: TrainConfig,
    fold: int,
    training: Sample,
    validation: Sample,
    out: Path,
    *,
    imagenet: Mapping[str, Path],
    device: torch.device,
    on_progress: Callable[[Progress], None],
) -> None:
    """Train one member of one fold to its end, from its last checkpoint if there is one.

    Each phase starts from the moving average of the weights at the end of the phase before; the
    average at the end of the last phase becomes the member's weights. For the loss see
    `training_loss`.

    All randomness of an epoch is drawn from (seed, fold, epoch), so a resumed run goes the same
    way as one that was never stopped.

    Parameters
    ----------
    fold
        The fold that this member is not trained on.
    training
        Whole frames of the other folds.
    validation
        Prepared squares of this fold. They are measured after each epoch, and nothing is chosen
        by them.
    out
        Folder of this member: receives the checkpoint, the learning curves (a JSON object per
        epoch) and at the end the weights (safetensors, float32).
    imagenet
        Files to start from, for members with `pretrained`; see `imagenet_weights`.

    Raises
    ------
    TrainingMismatch
        If the checkpoint in `out` is of another configuration, or the weights do not fit.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(_seed(config, fold, 0))
    network = create_network(member.architecture, len(CLASSES))
    if member.pretrained:
        load_pretrained(network, imagenet_weights(member.architecture, imagenet))
    network.to(device).to(memory_format=torch.channels_last)
    state = TrainingState(network, member)
    digest = config.member_digest(member, fold)
    first = load_checkpoint(out, digest=digest, parts=state.parts(), device=device)

    sizes = {size for phase in member.phases for size in (phase.first_size, phase.input_size)}
    augmentations = {
        size: Augmentation(config.augment, size, seed=config.seed)
        for size in sizes
        if size is not None
    }
    log_prior = class_log_prior(training.labels)
    steps = len(training.labels) // member.batch_size
    began = time.monotonic()
    for epoch in range(first, member.epochs):

        def report(step: int, loss: float, epoch: int = epoch) -> None:
            done = (epoch - first) * steps + step
            left = (member.epochs - first) * steps - done
            seconds = (time.monotonic() - began) / done * left
            on_progress(
                Progress(member.name, fold, epoch + 1, member.epochs, step, steps, loss, seconds)
            )

        phase, epoch_of_phase = phase_of(member, epoch)
        if epoch > 0 and epoch_of_phase == 0:
            state = state.restarted()
        loss = train_epoch(
            state,
            phase,
            epoch_of_phase,
            augmentations[square_size(phase, epoch_of_phase)],
            training,
            log_prior,
            seed=_seed(config, fold, epoch),
            report=report,
        )
        row = {"epoch": epoch + 1, "loss": loss, "seconds": round(time.monotonic() - began, 1)}
        row |= validate(state.average.module, validation, log_prior, member.input_size)
        save_checkpoint(out, digest=digest, epoch=epoch + 1, parts=state.parts())
        # The row comes after the checkpoint: a kill between the two loses a row of a log, and
        # never writes one for an epoch that is trained again.
        with (out / CURVES_NAME).open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
    _save_weights(state.average.module, out / WEIGHTS_NAME)


def _save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights whole or not at all."""
    weights = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
    partial = path.with_name(f"{path.name}.partial")
    save_file(weights, partial)
    partial.replace(path)


def _seed(config: TrainConfig, fold: int, epoch: int) -> int:
    return config.seed * 100_000 + fold * 1000 + epoch

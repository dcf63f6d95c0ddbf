"""Train one member, epoch by epoch, resumable after a kill."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from dermtriage.states import CLASSES
from dermtriage_worker.ensemble.members import create_network
from dermtriage_worker.ensemble.preprocessing import normalise
from dermtriage_worker.training.augment import augment
from dermtriage_worker.training.checkpoint import (
    CHECKPOINT_NAME,
    TrainingMismatch,
    load_checkpoint,
    save_checkpoint,
)
from dermtriage_worker.training.config import MemberConfig, TrainConfig
from dermtriage_worker.training.figures import auc, balanced_accuracy, severe_mask

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CURVES_NAME = "curves.jsonl"
WEIGHTS_NAME = "weights.safetensors"


@dataclass(frozen=True)
class Progress:
    """How far one member is."""

    member: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    seconds_left: float
    """For this member alone, at the pace since this process took it up."""


@dataclass(frozen=True)
class Sample:
    """Photographs in memory (uint8) with their class indices (int64)."""

    images: Tensor
    labels: Tensor


def train_member(
    member: MemberConfig,
    config: TrainConfig,
    training: Sample,
    validation: Sample,
    out: Path,
    *,
    imagenet: Path | None,
    device: torch.device,
    on_progress: Callable[[Progress], None],
) -> None:
    """Train one member to its end, from its last checkpoint where there is one.

    The loss is the logit-adjusted cross-entropy of Menon et al., "Long-tail learning via logit
    adjustment" (ICLR 2021): logits learn to rank as if all classes were equally frequent, and
    the frequencies are put back by calibration.

    All randomness of an epoch is drawn from (seed, epoch), so a resumed run goes the same way as
    one that was never stopped.

    Parameters
    ----------
    training
        Whole frames (n, 3, h, w) and their classes.
    validation
        Prepared squares (m, 3, s, s) and their classes; only watched, never learnt from.
    out
        Folder of this member: receives the checkpoint, the curves (a JSON object an epoch) and
        at the end the weights (safetensors, float32).
    imagenet
        Weights to start from, for a member with `pretrained`; torchvision's own if None.

    Raises
    ------
    TrainingMismatch
        If the checkpoint in `out` is of another configuration, or the weights do not fit.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    network = create_network(member.architecture, len(CLASSES))
    network.to(device).to(memory_format=torch.channels_last)
    optimizer = _optimizer(network, member)
    digest = config.member_digest(member)
    first = 0
    if (out / CHECKPOINT_NAME).exists():
        first = load_checkpoint(
            out, digest=digest, network=network, optimizer=optimizer, device=device
        )
    elif member.pretrained:
        load_pretrained(network, imagenet_weights(member.architecture, imagenet))

    log_prior = class_log_prior(training.labels)
    steps = len(training.labels) // member.batch_size
    began = time.monotonic()
    for epoch in range(first, member.epochs):

        def report(step: int, loss: float, epoch: int = epoch) -> None:
            done = (epoch - first) * steps + step
            left = (member.epochs - first) * steps - done
            seconds = (time.monotonic() - began) / done * left
            on_progress(Progress(member.name, epoch + 1, member.epochs, step, steps, loss, seconds))

        loss = _train_epoch(
            network, optimizer, member, config, training, log_prior, epoch, device, report
        )
        row = {"epoch": epoch + 1, "loss": loss} | _watch(
            network, validation, log_prior, member.input_size, device
        )
        save_checkpoint(out, digest=digest, epoch=epoch + 1, network=network, optimizer=optimizer)
        # The row comes after the checkpoint: a kill between the two loses a row of a log, and
        # never writes one for an epoch that is trained again.
        with (out / CURVES_NAME).open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
    save_file(
        {name: value.contiguous().cpu() for name, value in network.state_dict().items()},
        out / WEIGHTS_NAME,
    )


def imagenet_weights(architecture: str, path: Path | None) -> Mapping[str, Tensor]:
    """Read ImageNet weights from a safetensors file, or else fetch torchvision's own.

    Raises
    ------
    TrainingMismatch
        If torchvision's weights cannot be fetched.
    """
    if path is not None:
        return load_file(path)
    try:
        weights = torchvision.models.get_model_weights(architecture).DEFAULT
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, ValueError) as error:
        raise TrainingMismatch(
            f"torchvision's ImageNet weights of {architecture} cannot be had ({error}).",
            remedy="Give a safetensors file of them.",
        ) from error
    return state


def load_pretrained(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put ImageNet weights into a network, leaving out the classifier of 1000 classes.

    Raises
    ------
    TrainingMismatch
        If anything else than the classifier does not fit.
    """
    own = network.state_dict()
    fitting = {
        name: value
        for name, value in weights.items()
        if name in own and own[name].shape == value.shape
    }
    missing = [n for n in own if n not in fitting and not n.startswith("classifier.")]
    if missing:
        raise TrainingMismatch(
            f"The ImageNet weights do not fit the architecture: {len(missing)} tensors are "
            f"missing or of another shape, the first is {missing[0]}."
        )
    network.load_state_dict(fitting, strict=False)


def class_log_prior(labels: Tensor) -> Tensor:
    """Logarithm of each class's share of the labels, float32, shape (7,)."""
    counts = torch.bincount(labels, minlength=len(CLASSES)).float().clamp(min=1)
    return (counts / counts.sum()).log()


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    member: MemberConfig,
    config: TrainConfig,
    training: Sample,
    log_prior: Tensor,
    epoch: int,
    device: torch.device,
    report: Callable[[int, float], None],
) -> float:
    """Train for one epoch and return its mean loss."""
    seed = config.seed * 1000 + epoch
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(training.labels), generator=generator)
    steps = len(order) // member.batch_size
    centre = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    spread = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    log_prior = log_prior.to(device)
    network.train()
    total = 0.0
    for step in range(steps):
        rate = _learning_rate(member, epoch * steps + step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        picked = order[step * member.batch_size : (step + 1) * member.batch_size]
        squares = augment(training.images[picked], member.input_size, config.augment, generator)
        values = ((squares - centre) / spread).to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            logits = network(values)
        truth = training.labels[picked].to(device)
        loss = functional.cross_entropy(logits.float() + log_prior, truth)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        total += loss.item()
        report(step + 1, total / (step + 1))
    return total / max(1, steps)


def _watch(
    network: nn.Module,
    validation: Sample,
    log_prior: Tensor,
    input_size: int,
    device: torch.device,
) -> dict[str, float]:
    """Figures of one upright view on photographs that are not learnt from."""
    network.eval()
    parts = []
    with torch.inference_mode():
        for chunk in torch.split(validation.images, 64):
            values = normalise(chunk.to(device), input_size, IMAGENET_MEAN, IMAGENET_STD)
            parts.append(network(values).float().cpu())
    logits = torch.cat(parts)
    truth = validation.labels.numpy()
    severe = (logits + log_prior).softmax(1).numpy()[:, severe_mask()].sum(1)
    return {
        "watched_auc": auc(severe, severe_mask()[truth]),
        "watched_balanced_accuracy": balanced_accuracy(
            logits.argmax(1).numpy(), truth, len(CLASSES)
        ),
    }


def _learning_rate(config: MemberConfig, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    warmup = config.warmup_epochs * steps_per_epoch
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1.0, config.epochs * steps_per_epoch - warmup)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def _optimizer(network: nn.Module, config: MemberConfig) -> torch.optim.AdamW:
    # Decay shrinks weights that multiply; shrinking a norm's gain or a bias only hurts.
    groups = [
        {
            "params": [p for p in network.parameters() if p.ndim > 1],
            "weight_decay": config.weight_decay,
        },
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)

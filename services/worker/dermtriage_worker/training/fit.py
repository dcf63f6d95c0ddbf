"""Train one member, epoch by epoch, resumable after a kill."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dermtriage.states import CLASSES
from dermtriage_worker.ensemble.members import create_network
from dermtriage_worker.ensemble.preprocessing import normalise
from dermtriage_worker.evaluation.figures import auc, balanced_accuracy, severe_mask
from dermtriage_worker.training.augment import Augmentation
from dermtriage_worker.training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from dermtriage_worker.training.config import MemberConfig, TrainConfig
from dermtriage_worker.training.pretrained import imagenet_weights, load_pretrained
from dermtriage_worker.training.teacher import Teacher

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CURVES_NAME = "curves.jsonl"
WEIGHTS_NAME = "weights.safetensors"


@dataclass(frozen=True)
class Progress:
    """How far one member is."""

    member: str
    fold: int
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
    fold: int,
    training: Sample,
    validation: Sample,
    out: Path,
    *,
    imagenet: Mapping[str, Path],
    teacher: Teacher | None,
    device: torch.device,
    on_progress: Callable[[Progress], None],
) -> None:
    """Train one member of one fold to its end, from its last checkpoint where there is one.

    The loss is the logit-adjusted cross-entropy of Menon et al., "Long-tail learning via logit
    adjustment" (ICLR 2021): logits learn to rank as if all classes were equally frequent, and
    the frequencies are put back by calibration. What is kept in the end is the running mean of
    the weights over the last steps.

    All randomness of an epoch is drawn from (seed, fold, epoch), so a resumed run goes the same
    way as one that was never stopped.

    Parameters
    ----------
    fold
        The one that this member does not learn from.
    training
        Whole frames (n, 3, h, w) of the other folds and their classes.
    validation
        Prepared squares (m, 3, s, s) of this fold and their classes; only watched: nothing is
        chosen by them.
    out
        Folder of this member: receives the checkpoint, the curves (a JSON object an epoch) and
        at the end the weights (safetensors, float32).
    imagenet
        Files to start from, for members with `pretrained`; see `imagenet_weights`.
    teacher
        Of the same fold, for a member that is taught.

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
    average = AveragedModel(
        network, multi_avg_fn=_running_mean(member.average_decay), use_buffers=True
    )
    optimizer = _optimizer(network, member)
    parts: dict[str, Stateful] = {"network": network, "average": average, "optimizer": optimizer}
    digest = config.member_digest(member, fold)
    first = load_checkpoint(out, digest=digest, parts=parts, device=device)

    augmentations = {
        size: Augmentation(config.augment, size, seed=config.seed)
        for size in (member.first_size, member.input_size)
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

        network.train()
        loss = _train_epoch(
            network,
            average,
            optimizer,
            member,
            augmentations[_size(member, epoch)],
            teacher,
            training,
            log_prior,
            (epoch, _seed(config, fold, epoch)),
            report,
        )
        row = {"epoch": epoch + 1, "loss": loss, "seconds": round(time.monotonic() - began, 1)}
        row |= _watch(average.module, validation, log_prior, member.input_size, device)
        save_checkpoint(out, digest=digest, epoch=epoch + 1, parts=parts)
        # The row comes after the checkpoint: a kill between the two loses a row of a log, and
        # never writes one for an epoch that is trained again.
        with (out / CURVES_NAME).open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
    weights = {n: value.contiguous().cpu() for n, value in average.module.state_dict().items()}
    partial = out / f"{WEIGHTS_NAME}.partial"
    save_file(weights, partial)
    partial.replace(out / WEIGHTS_NAME)


def class_log_prior(labels: Tensor) -> Tensor:
    """Logarithm of each class's share of the labels, float32, shape (7,)."""
    counts = torch.bincount(labels, minlength=len(CLASSES)).float().clamp(min=1)
    return (counts / counts.sum()).log()


def _running_mean(decay: float) -> Callable[..., None]:
    mean: Callable[..., None] = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return mean


def _seed(config: TrainConfig, fold: int, epoch: int) -> int:
    return config.seed * 100_000 + fold * 1000 + epoch


def _size(member: MemberConfig, epoch: int) -> int:
    # Small squares teach the coarse at half the price, and the later epochs the rest (Tan and Le,
    # "EfficientNetV2", 2021).
    if member.first_size is not None and epoch < member.epochs // 2:
        return member.first_size
    return member.input_size


def _train_epoch(
    network: nn.Module,
    average: AveragedModel,
    optimizer: torch.optim.Optimizer,
    member: MemberConfig,
    augmentation: Augmentation,
    teacher: Teacher | None,
    training: Sample,
    log_prior: Tensor,
    epoch_and_seed: tuple[int, int],
    report: Callable[[int, float], None],
) -> float:
    """Train for one epoch and return its mean loss."""
    epoch, seed = epoch_and_seed
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(training.labels), generator=generator)
    steps = len(order) // member.batch_size
    centre = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    spread = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    device = next(network.parameters()).device
    log_prior = log_prior.to(device)
    total = 0.0
    for step in range(steps):
        rate = _learning_rate(member, epoch * steps + step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        picked = order[step * member.batch_size : (step + 1) * member.batch_size]
        squares = augmentation(training.images[picked], generator)
        values = ((squares - centre) / spread).to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=member.precision == "bf16"):
            logits = network(values)
        truth = training.labels[picked].to(device)
        loss = functional.cross_entropy(logits.float() + log_prior, truth)
        if teacher is not None:
            loss = teacher.loss(values, logits.float(), loss)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        average.update_parameters(network)
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

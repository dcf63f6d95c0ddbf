"""Train one member, epoch by epoch, resumable after a kill."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.image.preprocessing import normalise
from dermtriage_worker.ensemble.networks.registry import create_network, patient_branch
from dermtriage_worker.evaluation.figures import auc, balanced_accuracy, severe_mask
from dermtriage_worker.training.augment import Augmentation
from dermtriage_worker.training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from dermtriage_worker.training.config import MemberConfig, Phase, TrainConfig
from dermtriage_worker.training.metadata_dropout import drop_fields
from dermtriage_worker.training.pretrained import imagenet_weights, load_pretrained
from dermtriage_worker.training.schedule import learning_rate, phase_of, square_size

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
    """Photographs in memory.

    Attributes
    ----------
    images
        uint8, shape (n, 3, h, w).
    patients
        What is known beside them, as `metadata.encode` writes it.
    labels
        Class indices, int64, shape (n,).
    """

    images: Tensor
    patients: Tensor
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
    device: torch.device,
    on_progress: Callable[[Progress], None],
) -> None:
    """Train one member of one fold to its end, from its last checkpoint where there is one.

    The loss is the logit-adjusted cross-entropy of Menon et al., "Long-tail learning via logit
    adjustment" (ICLR 2021): logits learn to rank as if all classes were equally frequent, and
    the frequencies are put back by calibration. A phase may add the loss of the two classes that
    matter, severe and benign. Each phase starts from the running mean of the weights over the last
    steps of the one before; that of the last one is what is kept.

    All randomness of an epoch is drawn from (seed, fold, epoch), so a resumed run goes the same
    way as one that was never stopped.

    Parameters
    ----------
    fold
        The one that this member does not learn from.
    training
        Whole frames of the other folds.
    validation
        Prepared squares of this fold; only watched: nothing is chosen by them.
    out
        Folder of this member: receives the checkpoint, the curves (a JSON object an epoch) and
        at the end the weights (safetensors, float32).
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
    learner = _Learner(network, member)
    digest = config.member_digest(member, fold)
    first = load_checkpoint(out, digest=digest, parts=learner.parts(), device=device)

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

        phase, done_before = phase_of(member, epoch)
        if epoch > 0 and done_before == 0:
            learner = learner.go_on()
        loss = _train_epoch(
            learner,
            phase,
            augmentations[square_size(phase, done_before)],
            training,
            log_prior,
            (done_before, _seed(config, fold, epoch)),
            report,
        )
        row = {"epoch": epoch + 1, "loss": loss, "seconds": round(time.monotonic() - began, 1)}
        row |= _watch(learner.average.module, validation, log_prior, member.input_size, device)
        save_checkpoint(out, digest=digest, epoch=epoch + 1, parts=learner.parts())
        # The row comes after the checkpoint: a kill between the two loses a row of a log, and
        # never writes one for an epoch that is trained again.
        with (out / CURVES_NAME).open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
    mean = learner.average.module.state_dict()
    weights = {name: value.contiguous().cpu() for name, value in mean.items()}
    partial = out / f"{WEIGHTS_NAME}.partial"
    save_file(weights, partial)
    partial.replace(out / WEIGHTS_NAME)


def class_log_prior(labels: Tensor) -> Tensor:
    """Logarithm of each class's share of the labels, float32, shape (7,)."""
    counts = torch.bincount(labels, minlength=len(CLASSES)).float().clamp(min=1)
    return (counts / counts.sum()).log()


def _seed(config: TrainConfig, fold: int, epoch: int) -> int:
    return config.seed * 100_000 + fold * 1000 + epoch


class _Learner:
    """A network in training, the running mean of its weights, and its optimizer."""

    def __init__(self, network: nn.Module, member: MemberConfig) -> None:
        mean: Callable[..., None] = get_ema_multi_avg_fn(member.average_decay)  # type: ignore[no-untyped-call]
        self.network = network
        self.member = member
        self.average = AveragedModel(network, multi_avg_fn=mean, use_buffers=True)
        self.optimizer = _optimizer(network, member)

    def parts(self) -> dict[str, Stateful]:
        """All that changes from step to step."""
        return {"network": self.network, "average": self.average, "optimizer": self.optimizer}

    def go_on(self) -> "_Learner":
        """Begin anew from the running mean."""
        self.network.load_state_dict(self.average.module.state_dict())
        return _Learner(self.network, self.member)


def _train_epoch(
    learner: _Learner,
    phase: Phase,
    augmentation: Augmentation,
    training: Sample,
    log_prior: Tensor,
    epoch_and_seed: tuple[int, int],
    report: Callable[[int, float], None],
) -> float:
    """Train for one epoch and return its mean loss."""
    network, optimizer, member = learner.network, learner.optimizer, learner.member
    network.train()
    epoch, seed = epoch_and_seed
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(training.labels), generator=generator)
    steps = len(order) // member.batch_size
    centre = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    spread = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    device = next(network.parameters()).device
    log_prior = log_prior.to(device)
    branch = patient_branch(network)
    total = 0.0
    for step in range(steps):
        rate = learning_rate(phase, epoch * steps + step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        picked = order[step * member.batch_size : (step + 1) * member.batch_size]
        squares = augmentation(training.images[picked], generator)
        values = ((squares - centre) / spread).to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=member.precision == "bf16"):
            logits = network(values)
        if branch is not None:
            known = drop_fields(training.patients[picked], generator)
            logits = logits.float() + branch(known.to(device))
        truth = training.labels[picked].to(device)
        loss = _loss(logits.float() + log_prior, truth, phase.severe_weight)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        learner.average.update_parameters(network)
        total += loss.item()
        report(step + 1, total / (step + 1))
    return total / max(1, steps)


def _loss(logits: Tensor, truth: Tensor, severe_weight: float) -> Tensor:
    """Cross-entropy of the classes, and of severe against benign so many times."""
    loss = functional.cross_entropy(logits, truth)
    if not severe_weight:
        return loss
    severe = torch.from_numpy(severe_mask()).to(logits.device)
    odds = logits[:, severe].logsumexp(1) - logits[:, ~severe].logsumexp(1)
    two = functional.binary_cross_entropy_with_logits(odds, severe[truth].float())
    return loss + severe_weight * two


def _watch(
    network: nn.Module,
    validation: Sample,
    log_prior: Tensor,
    input_size: int,
    device: torch.device,
) -> dict[str, float]:
    """Figures of one upright view, by the photographs alone, on those not learnt from."""
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


def _optimizer(network: nn.Module, config: MemberConfig) -> torch.optim.AdamW:
    # Decay shrinks weights that multiply; shrinking a norm's gain or a bias only hurts.
    groups = [
        {
            "params": [p for p in network.parameters() if p.ndim > 1],
            "weight_decay": config.weight_decay,
        },
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # The learning rate is set before every step.
    return torch.optim.AdamW(groups, lr=0.0)

"""One epoch of training, and the state that it changes: network, optimizer, mean weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dermtriage_worker.ensemble.networks.registry import patient_branch
from dermtriage_worker.training.augment import Augmentation
from dermtriage_worker.training.checkpoint import Stateful
from dermtriage_worker.training.config import MemberConfig, Phase
from dermtriage_worker.training.data import Sample
from dermtriage_worker.training.loss import training_loss
from dermtriage_worker.training.metadata_dropout import drop_fields
from dermtriage_worker.training.pretrained import IMAGENET_MEAN, IMAGENET_STD
from dermtriage_worker.training.schedule import learning_rate


class TrainingState:
    """A network in training, its optimizer, and the moving average of its weights.

    Attributes
    ----------
    network, member
        As given.
    average
        Exponential moving average of the weights and buffers.
    optimizer
        AdamW; its learning rate is set before every step.
    """

    def __init__(self, network: nn.Module, member: MemberConfig) -> None:
        mean: Callable[..., None] = get_ema_multi_avg_fn(member.average_decay)  # type: ignore[no-untyped-call]
        self.network = network
        self.member = member
        self.average = AveragedModel(network, multi_avg_fn=mean, use_buffers=True)
        self.optimizer = _optimizer(network, member)

    def parts(self) -> dict[str, Stateful]:
        """Return everything that a checkpoint has to hold, by name."""
        return {"network": self.network, "average": self.average, "optimizer": self.optimizer}

    def restarted(self) -> "TrainingState":
        """Return a new state that starts from the averaged weights, with a new optimizer."""
        self.network.load_state_dict(self.average.module.state_dict())
        return TrainingState(self.network, self.member)


def train_epoch(
    state: TrainingState,
    phase: Phase,
    epoch: int,
    augmentation: Augmentation,
    training: Sample,
    log_prior: Tensor,
    *,
    seed: int,
    report: Callable[[int, float], None],
) -> float:
    """Train for one epoch; a last incomplete batch is left out.

    Parameters
    ----------
    state
        Is changed.
    epoch
        Number of the epoch within its phase, from 0.
    augmentation
        Makes the network's input out of frames.
    log_prior
        See `class_log_prior`.
    seed
        Of the order, the distortions, the metadata dropout and the network's own dropout.
    report
        Called after every step with the number of steps done and their mean loss.

    Returns
    -------
    float
        Mean loss of the epoch.
    """
    network, optimizer, member = state.network, state.optimizer, state.member
    network.train()
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(training.labels), generator=generator)
    steps = len(order) // member.batch_size
    mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    device = next(network.parameters()).device
    log_prior = log_prior.to(device)
    branch = patient_branch(network)
    total = 0.0
    for step in range(steps):
        rate = learning_rate(phase, epoch * steps + step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = order[step * member.batch_size : (step + 1) * member.batch_size]
        squares = augmentation(training.images[batch], generator)
        values = ((squares - mean) / std).to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=member.precision == "bf16"):
            logits = network(values)
        if branch is not None:
            kept = drop_fields(training.patients[batch], generator)
            logits = logits.float() + branch(kept.to(device))
        loss = training_loss(
            logits.float(),
            training.labels[batch].to(device),
            log_prior,
            severe_weight=phase.severe_weight,
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        state.average.update_parameters(network)
        total += loss.item()
        report(step + 1, total / (step + 1))
    return total / max(1, steps)


def _optimizer(network: nn.Module, config: MemberConfig) -> torch.optim.AdamW:
    # Decay shrinks weights that multiply; shrinking a norm's gain or a bias only hurts.
    groups = [
        {
            "params": [p for p in network.parameters() if p.ndim > 1],
            "weight_decay": config.weight_decay,
        },
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0)

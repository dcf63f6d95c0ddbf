"""The schedule of training: the phase of an epoch, its input size, the learning rate of a step."""

import math

from dermtriage_worker.training.config import MemberConfig, Phase


def phase_of(member: MemberConfig, epoch: int) -> tuple[Phase, int]:
    """Return the phase that an epoch belongs to, and its number within that phase, from 0.

    Raises
    ------
    IndexError
        If the member has fewer epochs.
    """
    before = 0
    for phase in member.phases:
        if epoch < before + phase.epochs:
            return phase, epoch - before
        before += phase.epochs
    raise IndexError(epoch)


def square_size(phase: Phase, epoch: int) -> int:
    """Return the input size in an epoch of a phase, in pixels.

    Progressive resizing (Tan and Le, "EfficientNetV2", 2021): the first half of the epochs trains
    on smaller squares, at about half the cost.
    """
    if phase.first_size is not None and epoch < phase.epochs // 2:
        return phase.first_size
    return phase.input_size


def learning_rate(phase: Phase, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step: linear warm-up, then half a cosine down to 1 %."""
    warmup = phase.warmup_epochs * steps_per_epoch
    if step < warmup:
        return phase.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1.0, phase.epochs * steps_per_epoch - warmup)
    return phase.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

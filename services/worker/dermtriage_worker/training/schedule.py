"""Where in its training a member is, and what that means for the next step."""

import math

from dermtriage_worker.training.config import MemberConfig, Phase


def phase_of(member: MemberConfig, epoch: int) -> tuple[Phase, int]:
    """Return the phase that an epoch belongs to, and how many of that phase's are before it.

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
    """Side of the squares in an epoch of the phase, in pixels.

    Small ones teach the coarse at half the price, and the later epochs the rest (Tan and Le,
    "EfficientNetV2", 2021).
    """
    if phase.first_size is not None and epoch < phase.epochs // 2:
        return phase.first_size
    return phase.input_size


def learning_rate(phase: Phase, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    warmup = phase.warmup_epochs * steps_per_epoch
    if step < warmup:
        return phase.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1.0, phase.epochs * steps_per_epoch - warmup)
    return phase.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

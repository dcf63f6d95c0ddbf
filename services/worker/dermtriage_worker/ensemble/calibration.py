"""From logits to probabilities: a member's own, and the ensemble's."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dermtriage.states import CLASSES, SEVERE_CLASSES
from dermtriage_worker.ensemble.manifest import Calibration, Member

SEVERE_INDICES = [CLASSES.index(name) for name in SEVERE_CLASSES]


def member_log_probabilities(logits: Tensor, temperature: float, bias: Sequence[float]) -> Tensor:
    """Calibrate one member's logits, shape (n, 7), with a temperature and a bias a class."""
    shift = torch.tensor(bias, dtype=logits.dtype, device=logits.device)
    return (logits / temperature + shift).log_softmax(-1)


def combine(
    log_probabilities: Sequence[Tensor],
    weights: Sequence[float],
    temperature: float,
) -> Tensor:
    """Combine members: the softmax of their weighted mean log-probabilities over a temperature.

    Parameters
    ----------
    log_probabilities
        A tensor of shape (n, 7) a member.
    weights
        One a member; they sum to one.

    Returns
    -------
    Tensor
        Probabilities, shape (n, 7); each row sums to one.
    """
    mean = sum(
        (weight * member for weight, member in zip(weights, log_probabilities, strict=True)),
        start=torch.zeros_like(log_probabilities[0]),
    )
    return (mean / temperature).softmax(-1)


def severe_probability(probabilities: Tensor) -> Tensor:
    """Sum of the severe classes' probabilities, shape (n,)."""
    return probabilities[..., SEVERE_INDICES].sum(-1).clamp(0, 1)


def calibrated(
    logits: Sequence[Tensor],
    members: Sequence[Member],
    calibration: Calibration,
) -> tuple[Tensor, list[Tensor]]:
    """Probabilities of the ensemble, and each member's own, from the members' logits.

    Returns
    -------
    tuple
        Shape (n, 7), and such a tensor for each member.
    """
    logs = [
        member_log_probabilities(values, member.temperature, member.bias)
        for values, member in zip(logits, members, strict=True)
    ]
    weights = [member.weight for member in members]
    return combine(logs, weights, calibration.temperature), [log.exp() for log in logs]


def disagreement(severe: Sequence[Tensor], members: Sequence[Member]) -> Tensor:
    """Greatest minus smallest p_severe of the kinds of members, shape (n,).

    Members of one kind are averaged first: what differs between kinds is what they can see, and
    with one member of a kind or with five the figure means the same.
    """
    kinds = {member.kind for member in members}
    means = torch.stack(
        [
            torch.stack(
                [own for own, member in zip(severe, members, strict=True) if member.kind == kind]
            ).mean(0)
            for kind in sorted(kinds)
        ]
    )
    return means.amax(0) - means.amin(0)

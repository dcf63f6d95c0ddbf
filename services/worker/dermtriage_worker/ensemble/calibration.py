"""From logits to probabilities: a member's own, and the ensemble's."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES
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
    patients: Tensor | None = None,
) -> Tensor:
    """Combine members: the softmax of their weighted mean log-probabilities over a temperature.

    Parameters
    ----------
    log_probabilities
        A tensor of shape (n, 7) a member.
    weights
        One a member; they sum to one.
    patients
        What is known of each patient adds to the log-probabilities of the classes, shape (n, 7):
        as by Bayes' rule where photograph and patient tell independently of each other.

    Returns
    -------
    Tensor
        Probabilities, shape (n, 7); each row sums to one.
    """
    mean = sum(
        (weight * member for weight, member in zip(weights, log_probabilities, strict=True)),
        start=torch.zeros_like(log_probabilities[0]),
    )
    mean = mean / temperature
    return (mean if patients is None else mean + patients).softmax(-1)


def severe_probability(probabilities: Tensor) -> Tensor:
    """Sum of the severe classes' probabilities, shape (n,)."""
    return probabilities[..., SEVERE_INDICES].sum(-1).clamp(0, 1)


def calibrated(
    logits: Sequence[Tensor],
    members: Sequence[Member],
    calibration: Calibration,
    patients: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Probabilities of the ensemble, and each member's own, from the members' logits.

    Parameters
    ----------
    logits
        A tensor of shape (n, 7) a member.
    patients
        What is known beside the photographs, shape (n, f): see `metadata.encode`. Nothing by
        default.

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
    added = None
    if patients is not None and calibration.patient:
        added = patients.to(logits[0].dtype) @ logits[0].new_tensor(calibration.patient)
    combined = combine(logs, weights, calibration.temperature, added)
    return combined, [log.exp() for log in logs]


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

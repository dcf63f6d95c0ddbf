"""Calibration: from the members' logits to their probabilities and the ensemble's."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES
from dermtriage_worker.ensemble.manifest import Calibration, Member

SEVERE_INDICES = [CLASSES.index(name) for name in SEVERE_CLASSES]


def member_log_probabilities(logits: Tensor, temperature: float, bias: Sequence[float]) -> Tensor:
    """Calibrate one member's logits, shape (n, 7), by a temperature and a bias per class."""
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
        A tensor of shape (n, 7) for each member.
    weights
        One for each member; they sum to one.
    patients
        What the metadata adds to the log-probabilities of the classes, shape (n, 7): as by Bayes'
        rule if photograph and metadata are conditionally independent.

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
    """Sum the probabilities of the severe classes: shape (n,)."""
    return probabilities[..., SEVERE_INDICES].sum(-1).clamp(0, 1)


def calibrated(
    logits: Sequence[Tensor],
    members: Sequence[Member],
    calibration: Calibration,
    patients: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Compute the probabilities of the ensemble and of each member from the members' logits.

    Parameters
    ----------
    logits
        A tensor of shape (n, 7) for each member.
    patients
        Encoded metadata, shape (n, f): see `metadata.encode`. None by default.

    Returns
    -------
    tuple
        The ensemble's, shape (n, 7), and a list with such a tensor for each member.
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
    """Return the largest minus the smallest p_severe of the kinds of members, shape (n,).

    Members of one kind are averaged first, so that the figure does not depend on the number of
    members of a kind.
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

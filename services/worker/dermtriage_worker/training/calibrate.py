"""Set temperatures, biases, weights and thresholds on photographs that were not learnt from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dermtriage_worker.ensemble.calibration import (
    combine,
    member_log_probabilities,
    severe_probability,
)
from dermtriage_worker.ensemble.manifest import Thresholds
from dermtriage_worker.evaluation.figures import Bools, Floats, Ints, threshold_for

LOWER_SENSITIVITY = 0.98
UPPER_SENSITIVITY = 0.80
UPPER_SPECIFICITY = 0.90
RAISED_SHARE = 0.10
"""Share of low photographs that disagreement may raise to indeterminate."""

_BIAS_PENALTY = 0.01
_PATIENT_PENALTY = 30.0
"""On the squares of the table of metadata, in log-likelihood. Cross-fitted, the log loss is the
same from 3 to 30, and the AUC grows up to 30."""


def fit_member(logits: Tensor, labels: Tensor, log_prior: Tensor) -> tuple[float, list[float]]:
    """Fit a member's temperature and its bias a class by likelihood.

    The bias starts at the logarithm of the training frequencies, which the logit-adjusted loss
    took out of the logits, and is held near it: the rare classes have too few photographs here
    to move far on.

    Returns
    -------
    tuple
        Temperature and bias, as in `member_log_probabilities`.
    """
    logits, log_prior = logits.double(), log_prior.double()
    log_temperature = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    shift = torch.zeros_like(log_prior, requires_grad=True)

    def loss() -> Tensor:
        scaled = logits / log_temperature.exp() + log_prior + shift
        return functional.cross_entropy(scaled, labels) + _BIAS_PENALTY * shift.square().sum()

    _minimise(loss, [log_temperature, shift])
    bias = (log_prior + shift).detach()
    return float(log_temperature.detach().exp()), (bias - bias.mean()).tolist()


def fit_combination(
    log_probabilities: Sequence[Tensor], labels: Tensor
) -> tuple[list[float], float]:
    """Fit the members' weights, which sum to one, and the ensemble's temperature by likelihood.

    Returns
    -------
    tuple
        Weights and temperature, as in `combine`.
    """
    logs = torch.stack([values.double() for values in log_probabilities])
    preference = torch.zeros(len(logs), dtype=torch.float64, requires_grad=True)
    log_temperature = torch.zeros(1, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        mean = torch.einsum("m,mnc->nc", preference.softmax(0), logs)
        return functional.cross_entropy(mean / log_temperature.exp(), labels)

    _minimise(loss, [preference, log_temperature])
    weights = [round(weight, 4) for weight in preference.softmax(0).tolist()]
    weights[0] = round(1 - sum(weights[1:]), 4)
    return weights, float(log_temperature.detach().exp())


def fit_patients(log_probabilities: Tensor, patients: Tensor, labels: Tensor) -> Tensor:
    """Fit by likelihood what metadata adds to what the members say together.

    Parameters
    ----------
    log_probabilities
        Of the ensemble, shape (n, 7).
    patients
        Encoded metadata, shape (n, f).

    Returns
    -------
    Tensor
        What each column of the metadata adds to each class, float64, shape (f, 7).
    """
    classes = log_probabilities.shape[1]
    known = patients.any(1)
    said, patients, labels = log_probabilities[known], patients[known].double(), labels[known]
    table = torch.zeros(patients.shape[1], classes, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        missed = functional.cross_entropy(said + patients @ table, labels, reduction="sum")
        return (missed + _PATIENT_PENALTY * table.square().sum()) / max(1, len(labels))

    _minimise(loss, [table])
    return table.detach()


@dataclass(frozen=True)
class Fit:
    """A calibration: of each kind of member, and of their combination.

    Attributes
    ----------
    temperatures, biases, weights
        By kind; the weights sum to one.
    temperature
        Of the combination.
    patient
        What each column of the metadata adds to each class, float64, shape (f, 7).
    """

    temperatures: Mapping[str, float]
    biases: Mapping[str, Sequence[float]]
    weights: Mapping[str, float]
    temperature: float
    patient: Tensor

    def logs(self, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Calibrated log-probabilities of each kind, shape (n, 7)."""
        return {
            kind: member_log_probabilities(logits[kind], self.temperatures[kind], bias)
            for kind, bias in self.biases.items()
        }

    def probabilities(self, logits: Mapping[str, Tensor], patients: Tensor) -> Tensor:
        """Probabilities of the ensemble, shape (n, 7), by photographs and encoded metadata."""
        logs = self.logs(logits)
        kinds = sorted(logs)
        return combine(
            [logs[kind] for kind in kinds],
            [self.weights[kind] for kind in kinds],
            self.temperature,
            patients.double() @ self.patient,
        )


def fit_ensemble(
    logits: Mapping[str, Tensor], patients: Tensor, labels: Tensor, log_prior: Tensor
) -> Fit:
    """Fit each kind of member, and their combination.

    Parameters
    ----------
    logits
        Of each kind of member, averaged over its views, shape (n, 7).
    patients
        Encoded metadata, shape (n, f).
    labels
        Class indices, shape (n,).
    log_prior
        Logarithm of the training frequencies.
    """
    kinds = sorted(logits)
    fits = {kind: fit_member(logits[kind], labels, log_prior) for kind in kinds}
    logs = [member_log_probabilities(logits[kind].double(), *fits[kind]) for kind in kinds]
    weights, temperature = fit_combination(logs, labels)
    together = combine(logs, weights, temperature).log()
    return Fit(
        temperatures={kind: fits[kind][0] for kind in kinds},
        biases={kind: fits[kind][1] for kind in kinds},
        weights=dict(zip(kinds, weights, strict=True)),
        temperature=temperature,
        patient=fit_patients(together, patients, labels),
    )


def kinds_disagreement(fit: Fit, logits: Mapping[str, Tensor]) -> Tensor:
    """Greatest minus smallest p_severe of the kinds of members, shape (n,)."""
    severe = torch.stack([severe_probability(log.exp()) for log in fit.logs(logits).values()])
    return severe.amax(0) - severe.amin(0)


def log_loss(probabilities: Tensor, labels: Tensor) -> float:
    """Mean negative log-likelihood."""
    return float(functional.nll_loss(probabilities.clamp(min=1e-12).log(), labels))


def choose_thresholds(
    severe: Floats, positive: Bools, disagreement: Floats, ways: Ints
) -> Thresholds:
    """Choose operating points that hold in every way in which photographs come.

    The lower threshold is the highest that misses at most 2 % of the severe photographs. The
    upper one is the highest that flags 80 % of them, or a higher one where more than 10 % of the
    benign would be flagged. Disagreement raises a tenth of the low ones at most.

    Parameters
    ----------
    severe
        p_severe of each photograph.
    positive
        Whether it is severe in truth.
    disagreement
        Of the members over each photograph.
    ways
        A number for how each came: with what is known of its patient, or alone.
    """
    each = [
        _thresholds(severe[ways == way], positive[ways == way], disagreement[ways == way])
        for way in np.unique(ways)
    ]
    return Thresholds(
        lower=min(one.lower for one in each),
        upper=max(one.upper for one in each),
        disagreement=max(one.disagreement for one in each),
    )


def _thresholds(severe: Floats, positive: Bools, disagreement: Floats) -> Thresholds:
    positives, negatives = np.sort(severe[positive]), np.sort(severe[~positive])
    lower = threshold_for(positives, LOWER_SENSITIVITY)
    # The first value above the benign quantile: exactly at it, that benign one is flagged too.
    specific = float(
        negatives[min(len(negatives) - 1, int(np.ceil(UPPER_SPECIFICITY * len(negatives))))]
    )
    upper = max(lower, threshold_for(positives, UPPER_SENSITIVITY), specific)
    low = disagreement[severe < lower]
    limit = float(np.quantile(low, 1 - RAISED_SHARE)) if len(low) else 1.0
    return Thresholds(lower=lower, upper=upper, disagreement=limit)


def _minimise(loss: Callable[[], Tensor], parameters: list[Tensor]) -> None:
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        torch.autograd.backward(value)
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]

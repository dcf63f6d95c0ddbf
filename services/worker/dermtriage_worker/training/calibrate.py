"""Fit the calibration of a release, by likelihood, on out-of-fold logits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dermtriage_worker.ensemble.calibration import (
    combine,
    member_log_probabilities,
    severe_probability,
)

_BIAS_PENALTY = 0.01
_METADATA_PENALTY = 30.0
"""On the squares of the metadata's coefficients, in log-likelihood. Cross-fitted, the log loss is
the same from 3 to 30, and the AUC grows up to 30."""


def fit_member(logits: Tensor, labels: Tensor, log_prior: Tensor) -> tuple[float, list[float]]:
    """Fit a member's temperature and its bias for each class.

    The bias starts at the logarithm of the training frequencies, which the logit-adjusted loss
    took out of the logits, and is kept near it by a penalty: the rare classes have too few
    photographs here to estimate more.

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
    """Fit the members' weights, which sum to one, and the ensemble's temperature.

    Returns
    -------
    tuple
        Weights and temperature, as in `combine`.
    """
    logs = torch.stack([values.double() for values in log_probabilities])
    weight_logits = torch.zeros(len(logs), dtype=torch.float64, requires_grad=True)
    log_temperature = torch.zeros(1, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        mean = torch.einsum("m,mnc->nc", weight_logits.softmax(0), logs)
        return functional.cross_entropy(mean / log_temperature.exp(), labels)

    _minimise(loss, [weight_logits, log_temperature])
    weights = [round(weight, 4) for weight in weight_logits.softmax(0).tolist()]
    weights[0] = round(1 - sum(weights[1:]), 4)
    return weights, float(log_temperature.detach().exp())


def fit_metadata(log_probabilities: Tensor, patients: Tensor, labels: Tensor) -> Tensor:
    """Fit what metadata adds to the log-probabilities of the ensemble.

    Photographs without metadata are left out of the fit.

    Parameters
    ----------
    log_probabilities
        Of the ensemble, shape (n, 7).
    patients
        Encoded metadata, shape (n, f).

    Returns
    -------
    Tensor
        Coefficients: what each column of the metadata adds to each class, float64, shape (f, 7).
    """
    classes = log_probabilities.shape[1]
    known = patients.any(1)
    offsets, patients, labels = log_probabilities[known], patients[known].double(), labels[known]
    coefficients = torch.zeros(patients.shape[1], classes, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        logits = offsets + patients @ coefficients
        total = functional.cross_entropy(logits, labels, reduction="sum")
        penalty = _METADATA_PENALTY * coefficients.square().sum()
        return (total + penalty) / max(1, len(labels))

    _minimise(loss, [coefficients])
    return coefficients.detach()


@dataclass(frozen=True)
class FittedCalibration:
    """A calibration of each kind of member, and of their combination.

    Attributes
    ----------
    temperatures, biases, weights
        By kind; the weights sum to one.
    temperature
        Of the combination.
    patient
        Coefficients of the metadata, float64, shape (f, 7); see `fit_metadata`.
    """

    temperatures: Mapping[str, float]
    biases: Mapping[str, Sequence[float]]
    weights: Mapping[str, float]
    temperature: float
    patient: Tensor

    def log_probabilities(self, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the calibrated log-probabilities of each kind, shape (n, 7)."""
        return {
            kind: member_log_probabilities(logits[kind], self.temperatures[kind], bias)
            for kind, bias in self.biases.items()
        }

    def probabilities(self, logits: Mapping[str, Tensor], patients: Tensor) -> Tensor:
        """Return the ensemble's probabilities given logits and encoded metadata, shape (n, 7)."""
        logs = self.log_probabilities(logits)
        kinds = sorted(logs)
        return combine(
            [logs[kind] for kind in kinds],
            [self.weights[kind] for kind in kinds],
            self.temperature,
            patients.double() @ self.patient,
        )


def fit_calibration(
    logits: Mapping[str, Tensor], patients: Tensor, labels: Tensor, log_prior: Tensor
) -> FittedCalibration:
    """Fit the calibration of each kind of member, then that of their combination.

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
    return FittedCalibration(
        temperatures={kind: fits[kind][0] for kind in kinds},
        biases={kind: fits[kind][1] for kind in kinds},
        weights=dict(zip(kinds, weights, strict=True)),
        temperature=temperature,
        patient=fit_metadata(together, patients, labels),
    )


def kinds_disagreement(fit: FittedCalibration, logits: Mapping[str, Tensor]) -> Tensor:
    """Greatest minus smallest p_severe of the kinds of members, shape (n,)."""
    logs = fit.log_probabilities(logits).values()
    p_severe = torch.stack([severe_probability(log.exp()) for log in logs])
    return p_severe.amax(0) - p_severe.amin(0)


def log_loss(probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean negative log-likelihood of probabilities, shape (n, 7)."""
    return float(functional.nll_loss(probabilities.clamp(min=1e-12).log(), labels))


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

"""How calibration and thresholds fare on lesions that they were not set on.

The shipped ones are set on all out-of-fold scores. Here each fold gets those that were set on
the other folds, so that what is measured owes nothing to the lesions it is measured on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dermtriage_worker.ensemble.calibration import severe_probability
from dermtriage_worker.training.calibrate import choose_thresholds, fit_ensemble, kinds_disagreement


@dataclass(frozen=True)
class CrossFitted:
    """Scores and operating points of every photograph, by what the other folds set.

    Attributes
    ----------
    probabilities
        Float64, shape (n, 7).
    lower, upper
        Thresholds that held for each photograph, float64, shape (n,).
    raised
        Whether disagreement was over its threshold, bool, shape (n,).
    """

    probabilities: Tensor
    lower: Tensor
    upper: Tensor
    raised: Tensor

    @property
    def p_severe(self) -> Tensor:
        """Shape (n,)."""
        return severe_probability(self.probabilities)

    def rows(self, chosen: slice) -> "CrossFitted":
        """Return some of the photographs."""
        return CrossFitted(
            self.probabilities[chosen], self.lower[chosen], self.upper[chosen], self.raised[chosen]
        )


def crossfit(
    logits: Mapping[str, Tensor],
    patients: Tensor,
    truth: Tensor,
    severe: Tensor,
    ways: Tensor,
    folds: Tensor,
    log_prior: Tensor,
) -> CrossFitted:
    """Calibrate and set thresholds on the other folds of each photograph.

    Parameters
    ----------
    logits
        Out of fold, of each kind of member, averaged over its views, shape (n, 7).
    patients
        Encoded metadata, shape (n, f).
    truth, severe, ways, folds
        Class index, whether that class is severe, how it came (see `choose_thresholds`), and fold
        of each photograph, shape (n,).
    """
    count = len(truth)
    probabilities = torch.empty(count, logits[next(iter(logits))].shape[-1], dtype=torch.float64)
    lower, upper = torch.empty(count).double(), torch.empty(count).double()
    raised = torch.zeros(count, dtype=torch.bool)
    for fold in sorted(set(folds.tolist())):
        own, others = folds == fold, folds != fold
        of_others = {kind: values[others] for kind, values in logits.items()}
        of_own = {kind: values[own] for kind, values in logits.items()}
        fit = fit_ensemble(of_others, patients[others], truth[others], log_prior)
        apart = kinds_disagreement(fit, of_others)
        seen = severe_probability(fit.probabilities(of_others, patients[others]))
        limits = choose_thresholds(
            seen.numpy(), severe[others].numpy(), apart.numpy(), ways[others].numpy()
        )
        probabilities[own] = fit.probabilities(of_own, patients[own])
        lower[own], upper[own] = limits.lower, limits.upper
        raised[own] = kinds_disagreement(fit, of_own) > limits.disagreement
    return CrossFitted(probabilities, lower, upper, raised)

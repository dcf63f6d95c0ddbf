"""Cross-fitted calibration and thresholds: each fold gets those that were fitted on the others.

The release's own are fitted on all out-of-fold scores, so figures on those same scores are a
little too good. Cross-fitted figures are free of that.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dermtriage_worker.ensemble.calibration import severe_probability
from dermtriage_worker.training.calibrate import fit_calibration, kinds_disagreement
from dermtriage_worker.training.thresholds import choose_thresholds


@dataclass(frozen=True)
class CrossFitted:
    """Scores and thresholds of every photograph, fitted on the other folds.

    Attributes
    ----------
    probabilities
        Float64, shape (n, 7).
    lower, upper
        Thresholds of each photograph's fold, float64, shape (n,).
    raised
        Whether disagreement was over its threshold, bool, shape (n,).
    """

    probabilities: Tensor
    lower: Tensor
    upper: Tensor
    raised: Tensor

    @property
    def p_severe(self) -> Tensor:
        """Probability of severe, shape (n,)."""
        return severe_probability(self.probabilities)

    def rows(self, rows: slice) -> "CrossFitted":
        """Return some of the photographs."""
        return CrossFitted(
            self.probabilities[rows], self.lower[rows], self.upper[rows], self.raised[rows]
        )


def crossfit(
    logits: Mapping[str, Tensor],
    patients: Tensor,
    labels: Tensor,
    positive: Tensor,
    groups: Tensor,
    folds: Tensor,
    log_prior: Tensor,
) -> CrossFitted:
    """Fit calibration and thresholds on the other folds of each photograph.

    Parameters
    ----------
    logits
        Out-of-fold logits of each kind of member, averaged over its views, shape (n, 7).
    patients
        Encoded metadata, shape (n, f).
    labels, positive, groups, folds
        Class index, whether that class is severe, group (see `choose_thresholds`), and fold of
        each photograph, shape (n,).
    log_prior
        Logarithm of the training frequencies, shape (7,).
    """
    count = len(labels)
    probabilities = torch.empty(count, logits[next(iter(logits))].shape[-1], dtype=torch.float64)
    lower, upper = torch.empty(count).double(), torch.empty(count).double()
    raised = torch.zeros(count, dtype=torch.bool)
    for fold in sorted(set(folds.tolist())):
        own, others = folds == fold, folds != fold
        of_others = {kind: values[others] for kind, values in logits.items()}
        of_own = {kind: values[own] for kind, values in logits.items()}
        fit = fit_calibration(of_others, patients[others], labels[others], log_prior)
        limits = choose_thresholds(
            severe_probability(fit.probabilities(of_others, patients[others])).numpy(),
            positive[others].numpy(),
            kinds_disagreement(fit, of_others).numpy(),
            groups[others].numpy(),
        )
        probabilities[own] = fit.probabilities(of_own, patients[own])
        lower[own], upper[own] = limits.lower, limits.upper
        raised[own] = kinds_disagreement(fit, of_own) > limits.disagreement
    return CrossFitted(probabilities, lower, upper, raised)

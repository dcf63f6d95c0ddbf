"""How calibration and thresholds fare on lesions that they were not set on.

The shipped ones are set on all out-of-fold scores. Here each fold gets those that were set on
the other folds, so that what is measured owes nothing to the lesions it is measured on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dermtriage_worker.ensemble.calibration import severe_probability
from dermtriage_worker.ensemble.manifest import Calibration
from dermtriage_worker.ensemble.metadata import Inputs, groups, metadata_shift
from dermtriage_worker.training.calibrate import (
    Fit,
    choose_thresholds,
    fit_ensemble,
    fit_metadata,
    kinds_disagreement,
)


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


def crossfit(
    logits: Mapping[str, Tensor],
    truth: Tensor,
    severe: Tensor,
    folds: Tensor,
    inputs: Sequence[Inputs],
    log_prior: Tensor,
    *,
    with_metadata: bool,
    seed: int,
) -> CrossFitted:
    """Calibrate and set thresholds on the other folds of each photograph.

    Parameters
    ----------
    logits
        Out of fold, of each kind of member, averaged over its views, shape (n, 7).
    truth, severe, folds
        Class index, whether that class is severe, and fold of each photograph, shape (n,).
    inputs
        What is known beside each photograph.
    with_metadata
        Whether that is used.
    """
    count = len(truth)
    probabilities = torch.empty(count, logits[next(iter(logits))].shape[-1], dtype=torch.float64)
    lower, upper = torch.empty(count).double(), torch.empty(count).double()
    raised = torch.zeros(count, dtype=torch.bool)
    for fold in sorted(set(folds.tolist())):
        own, others = folds == fold, folds != fold
        of_others = {kind: values[others] for kind, values in logits.items()}
        of_own = {kind: values[own] for kind, values in logits.items()}
        fit = fit_ensemble(of_others, truth[others], log_prior)
        metadata: Mapping[str, Mapping[str, Sequence[float]]] = {}
        if with_metadata:
            metadata = fit_metadata(
                fit.probabilities(of_others).log(),
                [groups(inputs[i]) for i in torch.nonzero(others).flatten().tolist()],
                truth[others],
                seed=seed,
            )
        seen = _scores(fit, of_others, inputs, others, metadata)
        apart = kinds_disagreement(fit, of_others)
        limits = choose_thresholds(
            severe_probability(seen).numpy(), severe[others].numpy(), apart.numpy()
        )
        probabilities[own] = _scores(fit, of_own, inputs, own, metadata)
        lower[own], upper[own] = limits.lower, limits.upper
        raised[own] = kinds_disagreement(fit, of_own) > limits.disagreement
    return CrossFitted(probabilities, lower, upper, raised)


def metadata_helps(plain: CrossFitted, informed: CrossFitted, truth: Tensor, young: Tensor) -> bool:
    """Whether metadata earns its place: likelier classes, and no harm to the young.

    Age tells much by itself, and a model that leans on it overlooks the melanomas of the young:
    among them no more severe photographs may fall below the lower threshold than without it.

    Parameters
    ----------
    plain, informed
        Without and with metadata.
    young
        Severe photographs of patients under 40: bool, shape (n,).
    """
    losses = [
        float(-c.probabilities[torch.arange(len(truth)), truth].clamp(min=1e-12).log().mean())
        for c in (plain, informed)
    ]
    missed = [int(((c.p_severe < c.lower) & young).sum()) for c in (plain, informed)]
    return losses[1] < losses[0] and missed[1] <= missed[0]


def _scores(
    fit: Fit,
    logits: Mapping[str, Tensor],
    inputs: Sequence[Inputs],
    rows: Tensor,
    metadata: Mapping[str, Mapping[str, Sequence[float]]],
) -> Tensor:
    calibration = Calibration.model_validate({"temperature": fit.temperature, "metadata": metadata})
    chosen = [inputs[index] for index in torch.nonzero(rows).flatten().tolist()]
    return fit.probabilities(logits, metadata_shift(chosen, calibration))

"""Predictive values at a prevalence, with intervals, from sensitivity and specificity."""

from collections.abc import Callable

from dermtriage_worker.ensemble.manifest import Thresholds
from dermtriage_worker.evaluation.bootstrap import Bootstrap, Statistic, Weights
from dermtriage_worker.evaluation.figures import (
    Floats,
    negative_predictive_value,
    positive_predictive_value,
)
from dermtriage_worker.evaluation.results import Estimate, PredictiveValues
from dermtriage_worker.evaluation.triaged import TriagedSet
from dermtriage_worker.evaluation.weighted_statistics import share

PREVALENCES = (0.02, 0.06, 0.10, 0.20)
"""From routine referrals to selected ones; of urgent ones, 6 to 8 % are malignant in England."""

_BayesFormula = Callable[[Floats, Floats, float], Floats]
"""From sensitivity, specificity and prevalence to a predictive value."""


def predictive_values(
    triaged: TriagedSet, thresholds: Thresholds, prevalence: float, bootstrap: Bootstrap
) -> PredictiveValues:
    """Estimate the predictive values of both thresholds where this share is severe."""

    def at(threshold: float, formula: _BayesFormula) -> Estimate:
        sensitivity = share(triaged.p_severe >= threshold, triaged.positive)
        specificity = share(triaged.p_severe < threshold, ~triaged.positive)

        def compute(weights: Weights) -> Floats:
            return formula(sensitivity.compute(weights), specificity.compute(weights), prevalence)

        return bootstrap.estimate(Statistic(compute, len(triaged.p_severe)))

    return PredictiveValues(
        prevalence=prevalence,
        npv=at(thresholds.lower, negative_predictive_value),
        ppv_lower=at(thresholds.lower, positive_predictive_value),
        ppv_upper=at(thresholds.upper, positive_predictive_value),
    )

"""All figures of a release on a labelled set, from its predictions alone."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dermtriage.core.enums import CLASSES, Severity
from dermtriage_worker.ensemble.manifest import Thresholds
from dermtriage_worker.ensemble.prediction import Prediction
from dermtriage_worker.evaluation.bootstrap import (
    Bootstrap,
    Quantity,
    Weights,
    auc,
    average_precision,
    balanced_accuracy,
    calibration_error,
    share,
    specificity_at_sensitivity,
)
from dermtriage_worker.evaluation.by_lesion import lesion_figures
from dermtriage_worker.evaluation.figures import (
    Floats,
    Ints,
    calibration_bins,
    clopper_pearson,
    negative_predictive_value,
    positive_predictive_value,
)
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.results import (
    ClassFigures,
    Estimate,
    Evaluation,
    PredictiveValues,
    ReliabilityBin,
)
from dermtriage_worker.evaluation.subgroups import measure_subgroups
from dermtriage_worker.evaluation.triaged import TriagedSet, triage_labelled

PREVALENCES = (0.02, 0.06, 0.10, 0.20)
"""From routine referrals to selected ones; of urgent ones, 6 to 8 % are malignant in England."""

_ByBayes = Callable[[Floats, Floats, float], Floats]


def evaluate(
    predictions: Sequence[Prediction],
    labelled: Sequence[Labelled],
    thresholds: Thresholds,
    *,
    kinds: Mapping[str, str],
    log_prior: Sequence[float] | None,
    seed: int,
) -> Evaluation:
    """Measure predictions against the truth, each figure with its 95 % interval by lesion.

    Parameters
    ----------
    predictions, labelled
        Of the same photographs in the same order; not empty.
    thresholds
        Frozen operating points: nothing here is chosen on this set but
        `specificity_at_95_sensitivity`.
    kinds
        Kind of each member by its name.
    log_prior
        Logarithm of each class's share of the training photographs, shape (7,). It is taken out
        of the probabilities for the `adjusted` figures, which are left out without it.
    seed
        Of the bootstrap.

    Returns
    -------
    Evaluation
        Its `figures` are `auc`, `average_precision`, `calibration_error` (all of p_severe),
        `balanced_accuracy` and `balanced_accuracy_adjusted` (of the most probable class),
        `specificity_at_95_sensitivity`, sensitivity and specificity at the `lower` and `upper`
        threshold, `severe_called_low` and `benign_called_low` (after disagreement and scope
        have raised what they raise), `out_of_scope` where the release judges it, and what
        `lesion_figures` measures.
    """
    triaged = triage_labelled(predictions, labelled, thresholds)
    bootstrap = Bootstrap(triaged.lesions, seed=seed)
    best = triaged.table.argmax(1)
    adjusted = None
    if log_prior is not None:
        adjusted = (np.log(triaged.table.clip(1e-12)) - np.asarray(log_prior)).argmax(1)
    everything = np.ones(len(labelled), bool)
    return Evaluation(
        photographs=len(labelled),
        lesions=len(set(triaged.lesions)),
        severe=int(triaged.positive.sum()),
        thresholds=thresholds,
        figures=_headline(triaged, thresholds, best, adjusted, bootstrap)
        | lesion_figures(
            triaged.lesions,
            p_severe=triaged.severe,
            positive=triaged.positive,
            flagged=triaged.severe >= thresholds.upper,
            low=triaged.low,
            seed=seed,
        ),
        classes=_classes(triaged, best, adjusted, bootstrap),
        kinds=_kinds(predictions, triaged, kinds, bootstrap),
        predictive_values=[
            _predictive_values(triaged, thresholds, prevalence, bootstrap)
            for prevalence in PREVALENCES
        ],
        severities={
            severity.value: bootstrap.estimate(share(triaged.called == severity, everything))
            for severity in (Severity.SEVERE, Severity.INDETERMINATE, Severity.LOW)
        },
        subgroups=measure_subgroups(labelled, triaged, thresholds, bootstrap),
        reliability=_reliability(triaged),
        confusion=_confusion(triaged.truth, best),
        confusion_adjusted=None if adjusted is None else _confusion(triaged.truth, adjusted),
    )


def _headline(
    triaged: TriagedSet,
    thresholds: Thresholds,
    best: Ints,
    adjusted: Ints | None,
    bootstrap: Bootstrap,
) -> dict[str, Estimate]:
    severe, positive, truth = triaged.severe, triaged.positive, triaged.truth
    quantities = {
        "auc": auc(severe, positive),
        "average_precision": average_precision(severe, positive),
        "balanced_accuracy": balanced_accuracy(best, truth, len(CLASSES)),
    }
    if adjusted is not None:
        name = "balanced_accuracy_adjusted"
        quantities[name] = balanced_accuracy(adjusted, truth, len(CLASSES))
    quantities |= {
        "calibration_error": calibration_error(severe, positive),
        "specificity_at_95_sensitivity": specificity_at_sensitivity(severe, positive, 0.95),
        "sensitivity_lower": share(severe >= thresholds.lower, positive),
        "specificity_lower": share(severe < thresholds.lower, ~positive),
        "sensitivity_upper": share(severe >= thresholds.upper, positive),
        "specificity_upper": share(severe < thresholds.upper, ~positive),
        "severe_called_low": share(triaged.low, positive),
        "benign_called_low": share(triaged.low, ~positive),
    }
    if triaged.out_of_scope is not None:
        everything = np.ones(len(severe), bool)
        quantities["out_of_scope"] = share(triaged.out_of_scope, everything)
    return {name: bootstrap.estimate(quantity) for name, quantity in quantities.items()}


def _classes(
    triaged: TriagedSet, best: Ints, adjusted: Ints | None, bootstrap: Bootstrap
) -> list[ClassFigures]:
    rows = []
    for index, name in enumerate(CLASSES):
        of_class = triaged.truth == index
        rows.append(
            ClassFigures(
                name=name,
                photographs=int(of_class.sum()),
                recall=bootstrap.estimate(share(best == index, of_class)),
                recall_adjusted=None
                if adjusted is None
                else bootstrap.estimate(share(adjusted == index, of_class)),
                auc=bootstrap.estimate(auc(triaged.table[:, index], of_class)),
            )
        )
    return rows


def _kinds(
    predictions: Sequence[Prediction],
    triaged: TriagedSet,
    kinds: Mapping[str, str],
    bootstrap: Bootstrap,
) -> dict[str, Estimate]:
    """Malignancy AUC of each kind, by the mean p_severe of those members that scored."""

    def mean(prediction: Prediction, kind: str) -> float:
        own = [p for name, p in prediction.member_p_severe.items() if kinds[name] == kind]
        return float(np.mean(own))

    found = {}
    for kind in sorted({kinds[name] for name in predictions[0].member_p_severe}):
        scores = np.array([mean(prediction, kind) for prediction in predictions])
        found[kind] = bootstrap.estimate(auc(scores, triaged.positive))
    return found


def _predictive_values(
    triaged: TriagedSet, thresholds: Thresholds, prevalence: float, bootstrap: Bootstrap
) -> PredictiveValues:
    def at(threshold: float, of: _ByBayes) -> Estimate:
        found = share(triaged.severe >= threshold, triaged.positive)
        cleared = share(triaged.severe < threshold, ~triaged.positive)

        def measure(weights: Weights) -> Floats:
            return of(found.of(weights), cleared.of(weights), prevalence)

        return bootstrap.estimate(Quantity(measure, len(triaged.severe)))

    return PredictiveValues(
        prevalence=prevalence,
        npv=at(thresholds.lower, negative_predictive_value),
        ppv_lower=at(thresholds.lower, positive_predictive_value),
        ppv_upper=at(thresholds.upper, positive_predictive_value),
    )


def _reliability(triaged: TriagedSet) -> list[ReliabilityBin]:
    bins = []
    for part in calibration_bins(triaged.severe, triaged.positive):
        count = len(part.indices)
        low, high = clopper_pearson(part.severe, count)
        bins.append(
            ReliabilityBin(
                predicted=part.predicted,
                observed=part.observed,
                low=low,
                high=high,
                photographs=count,
            )
        )
    return bins


def _confusion(truth: Ints, best: Ints) -> list[list[int]]:
    table = np.zeros((len(CLASSES), len(CLASSES)), int)
    np.add.at(table, (truth, best), 1)
    return [[int(count) for count in row] for row in table]

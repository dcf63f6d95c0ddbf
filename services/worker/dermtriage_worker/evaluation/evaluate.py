"""Compute all figures of a release on a labelled set from its predictions."""

from collections.abc import Mapping, Sequence

import numpy as np

from dermtriage.core.enums import CLASSES, Severity
from dermtriage_worker.ensemble.manifest import Thresholds
from dermtriage_worker.ensemble.prediction import Prediction
from dermtriage_worker.evaluation.bootstrap import Bootstrap
from dermtriage_worker.evaluation.by_lesion import lesion_figures
from dermtriage_worker.evaluation.class_figures import class_figures, confusion_matrix
from dermtriage_worker.evaluation.figures import Ints, calibration_bins, clopper_pearson
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.predictive_values import PREVALENCES, predictive_values
from dermtriage_worker.evaluation.results import Estimate, Evaluation, ReliabilityBin
from dermtriage_worker.evaluation.subgroups import measure_subgroups
from dermtriage_worker.evaluation.triaged import TriagedSet, triage_labelled
from dermtriage_worker.evaluation.weighted_statistics import (
    auc,
    average_precision,
    balanced_accuracy,
    calibration_error,
    share,
    specificity_at_sensitivity,
)


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
        Frozen thresholds: nothing is chosen on this set, except the threshold of
        `specificity_at_95_sensitivity`.
    kinds
        Kind of each member by its name.
    log_prior
        Logarithm of each class's share of the training photographs, shape (7,). The `adjusted`
        figures are of the probabilities divided by these shares; without, they are left out.
    seed
        Of the bootstrap.

    Returns
    -------
    Evaluation
        Its `figures` are `auc`, `average_precision`, `calibration_error` (all of p_severe),
        `balanced_accuracy` and `balanced_accuracy_adjusted` (of the most probable class),
        `specificity_at_95_sensitivity`, sensitivity and specificity at the `lower` and `upper`
        threshold, `severe_called_low` and `benign_called_low` (after disagreement and the
        out-of-scope flag), `out_of_scope` if the release has a detector, and what
        `lesion_figures` measures.
    """
    triaged = triage_labelled(predictions, labelled, thresholds)
    bootstrap = Bootstrap(triaged.lesions, seed=seed)
    predicted = triaged.probabilities.argmax(1)
    adjusted = None
    if log_prior is not None:
        adjusted = (np.log(triaged.probabilities.clip(1e-12)) - np.asarray(log_prior)).argmax(1)
    everything = np.ones(len(labelled), bool)
    return Evaluation(
        photographs=len(labelled),
        lesions=len(set(triaged.lesions)),
        severe=int(triaged.positive.sum()),
        thresholds=thresholds,
        figures=_headline(triaged, thresholds, predicted, adjusted, bootstrap)
        | lesion_figures(
            triaged.lesions,
            p_severe=triaged.p_severe,
            positive=triaged.positive,
            flagged=triaged.p_severe >= thresholds.upper,
            low=triaged.low,
            seed=seed,
        ),
        classes=class_figures(triaged, predicted, adjusted, bootstrap),
        kinds=_kinds(predictions, triaged, kinds, bootstrap),
        predictive_values=[
            predictive_values(triaged, thresholds, prevalence, bootstrap)
            for prevalence in PREVALENCES
        ],
        severities={
            severity.value: bootstrap.estimate(share(triaged.severities == severity, everything))
            for severity in (Severity.SEVERE, Severity.INDETERMINATE, Severity.LOW)
        },
        subgroups=measure_subgroups(labelled, triaged, thresholds, bootstrap),
        reliability=_reliability(triaged),
        confusion=confusion_matrix(triaged.truth, predicted),
        confusion_adjusted=None if adjusted is None else confusion_matrix(triaged.truth, adjusted),
    )


def _headline(
    triaged: TriagedSet,
    thresholds: Thresholds,
    predicted: Ints,
    adjusted: Ints | None,
    bootstrap: Bootstrap,
) -> dict[str, Estimate]:
    p_severe, positive, truth = triaged.p_severe, triaged.positive, triaged.truth
    statistics = {
        "auc": auc(p_severe, positive),
        "average_precision": average_precision(p_severe, positive),
        "balanced_accuracy": balanced_accuracy(predicted, truth, len(CLASSES)),
    }
    if adjusted is not None:
        name = "balanced_accuracy_adjusted"
        statistics[name] = balanced_accuracy(adjusted, truth, len(CLASSES))
    statistics |= {
        "calibration_error": calibration_error(p_severe, positive),
        "specificity_at_95_sensitivity": specificity_at_sensitivity(p_severe, positive, 0.95),
        "sensitivity_lower": share(p_severe >= thresholds.lower, positive),
        "specificity_lower": share(p_severe < thresholds.lower, ~positive),
        "sensitivity_upper": share(p_severe >= thresholds.upper, positive),
        "specificity_upper": share(p_severe < thresholds.upper, ~positive),
        "severe_called_low": share(triaged.low, positive),
        "benign_called_low": share(triaged.low, ~positive),
    }
    if triaged.out_of_scope is not None:
        everything = np.ones(len(positive), bool)
        statistics["out_of_scope"] = share(triaged.out_of_scope, everything)
    return {name: bootstrap.estimate(statistic) for name, statistic in statistics.items()}


def _kinds(
    predictions: Sequence[Prediction],
    triaged: TriagedSet,
    kinds: Mapping[str, str],
    bootstrap: Bootstrap,
) -> dict[str, Estimate]:
    """Estimate the AUC of each kind of member, by the mean p_severe of those that scored."""

    def mean(prediction: Prediction, kind: str) -> float:
        own = [p for name, p in prediction.member_p_severe.items() if kinds[name] == kind]
        return float(np.mean(own))

    found = {}
    for kind in sorted({kinds[name] for name in predictions[0].member_p_severe}):
        scores = np.array([mean(prediction, kind) for prediction in predictions])
        found[kind] = bootstrap.estimate(auc(scores, triaged.positive))
    return found


def _reliability(triaged: TriagedSet) -> list[ReliabilityBin]:
    bins = []
    for part in calibration_bins(triaged.p_severe, triaged.positive):
        count = len(part.indices)
        low, high = clopper_pearson(part.positives, count)
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

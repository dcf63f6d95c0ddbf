"""Figures of predictions against the ground truth, without intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

CALIBRATION_BINS = 15
_FEWEST_IN_BIN = 20
"""In smaller bins, sampling noise would look like miscalibration."""


def severe_mask() -> Bools:
    """Return for each class whether it is severe: bool, shape (7,)."""
    return np.array([name in SEVERE_CLASSES for name in CLASSES])


def auc(scores: Floats, positive: Bools) -> float:
    """Return the area under the ROC curve; ties count half. NaN if all or none are positive."""
    if positive.all() or not positive.any():
        return float("nan")
    return float(roc_auc_score(positive, scores))


def balanced_accuracy(predicted: Ints, truth: Ints, classes: int) -> float:
    """Return the mean recall over the classes that occur.

    scikit-learn's `balanced_accuracy_score` warns about every predicted class that does not occur.
    """
    recalls = [
        float((predicted[truth == index] == index).mean())
        for index in range(classes)
        if (truth == index).any()
    ]
    return float(np.mean(recalls))


def threshold_for(positives: Floats, sensitivity: float) -> float:
    """Return the highest threshold that flags (>=) at least this share of positives.

    Parameters
    ----------
    positives
        Scores of the positives; not empty.
    sensitivity
        The required share, 0..1.
    """
    ascending = np.sort(positives)
    # 5 % of 20 is one, also where (1 - 0.95) * 20 is a little less in floating point.
    missed = int(np.floor((1 - sensitivity) * len(ascending) + 1e-9))
    return float(ascending[min(missed, len(ascending) - 1)])


def negative_predictive_value(
    sensitivity: Floats | float, specificity: Floats | float, prevalence: float
) -> Floats:
    """Return the share of negatives among those not flagged, by Bayes' formula.

    NaN if all are flagged.
    """
    true_negatives = np.asarray(specificity) * (1 - prevalence)
    false_negatives = (1 - np.asarray(sensitivity)) * prevalence
    return _share(true_negatives, false_negatives)


def positive_predictive_value(
    sensitivity: Floats | float, specificity: Floats | float, prevalence: float
) -> Floats:
    """Return the share of positives among the flagged, by Bayes' formula.

    NaN if none is flagged.
    """
    true_positives = np.asarray(sensitivity) * prevalence
    false_positives = (1 - np.asarray(specificity)) * (1 - prevalence)
    return _share(true_positives, false_positives)


def clopper_pearson(hits: int, of: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Compute the exact two-sided interval of a share (Clopper and Pearson, 1934).

    Parameters
    ----------
    hits, of
        Number of hits, and of trials; `of` is at least 1.
    confidence
        Of the interval, 0..1.
    """
    interval = binomtest(hits, of).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Photographs with about the same predicted probability.

    Attributes
    ----------
    indices
        Indices of the photographs.
    predicted
        Mean probability.
    positives
        Number of positives among them.
    """

    indices: NDArray[np.intp]
    predicted: float
    positives: int

    @property
    def observed(self) -> float:
        """Share of positives."""
        return self.positives / len(self.indices)


def calibration_bins(
    probabilities: Floats, positive: Bools, bins: int = CALIBRATION_BINS
) -> list[CalibrationBin]:
    """Sort photographs by probability into bins of equal size.

    A small set gets fewer bins.
    """
    order = np.argsort(probabilities, kind="stable")
    return [
        CalibrationBin(part, float(probabilities[part].mean()), int(positive[part].sum()))
        for part in np.array_split(order, max(1, min(bins, len(order) // _FEWEST_IN_BIN)))
    ]


def _share(part: Floats, rest: Floats) -> Floats:
    total = part + rest
    share: Floats = np.full(np.shape(total), np.nan)
    np.divide(part, total, out=share, where=total > 0)
    return share

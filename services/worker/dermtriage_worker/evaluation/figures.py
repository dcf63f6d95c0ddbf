"""What is measured of predictions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

CALIBRATION_BINS = 15
_FEWEST_IN_BIN = 20
"""In smaller bins, chance alone would look like a fault of calibration."""


def severe_mask() -> Bools:
    """For each class, whether it is severe: bool, shape (7,)."""
    return np.array([name in SEVERE_CLASSES for name in CLASSES])


def auc(scores: Floats, positive: Bools) -> float:
    """Area under the ROC curve, ties counted half; NaN where one of the two kinds is absent."""
    if positive.all() or not positive.any():
        return float("nan")
    return float(roc_auc_score(positive, scores))


def balanced_accuracy(predicted: Ints, truth: Ints, classes: int) -> float:
    """Mean recall over the classes that occur."""
    recalls = [
        float((predicted[truth == index] == index).mean())
        for index in range(classes)
        if (truth == index).any()
    ]
    return float(np.mean(recalls))


def threshold_for(severe: Floats, sensitivity: float) -> float:
    """Return the highest threshold that flags at least this share; at it is flagged.

    Parameters
    ----------
    severe
        Scores of what should be flagged; not empty.
    sensitivity
        The wanted share, 0..1.
    """
    ascending = np.sort(severe)
    # A share such as 0.95 of 20 must miss one, whatever the last bit of a float says.
    missed = int(np.floor((1 - sensitivity) * len(ascending) + 1e-9))
    return float(ascending[min(missed, len(ascending) - 1)])


def negative_predictive_value(
    sensitivity: Floats | float, specificity: Floats | float, prevalence: float
) -> Floats:
    """Share of the benign among those that are not flagged, by Bayes' formula.

    NaN where nothing would be left unflagged.
    """
    well = np.asarray(specificity) * (1 - prevalence)
    ill = (1 - np.asarray(sensitivity)) * prevalence
    return _part(well, ill)


def positive_predictive_value(
    sensitivity: Floats | float, specificity: Floats | float, prevalence: float
) -> Floats:
    """Share of the severe among those that are flagged, by Bayes' formula.

    NaN where nothing would be flagged.
    """
    ill = np.asarray(sensitivity) * prevalence
    well = (1 - np.asarray(specificity)) * (1 - prevalence)
    return _part(ill, well)


def clopper_pearson(hits: int, of: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Compute the exact two-sided interval of a share (Clopper and Pearson, 1934).

    Parameters
    ----------
    hits, of
        How many of how many; `of` is at least 1.
    confidence
        Of the interval, 0..1.
    """
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, of - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, of - hits)) if hits < of else 1.0
    return low, high


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Photographs that were given about the same probability.

    Attributes
    ----------
    indices
        Which photographs.
    predicted
        Mean probability.
    severe
        How many of them are positive in truth.
    """

    indices: NDArray[np.intp]
    predicted: float
    severe: int

    @property
    def observed(self) -> float:
        """Share of the positive."""
        return self.severe / len(self.indices)


def calibration_bins(
    probabilities: Floats, positive: Bools, bins: int = CALIBRATION_BINS
) -> list[CalibrationBin]:
    """Deal photographs, ordered by probability, to bins with equally many each.

    A small set gets fewer bins.
    """
    order = np.argsort(probabilities, kind="stable")
    return [
        CalibrationBin(part, float(probabilities[part].mean()), int(positive[part].sum()))
        for part in np.array_split(order, max(1, min(bins, len(order) // _FEWEST_IN_BIN)))
    ]


def _part(wanted: Floats, other: Floats) -> Floats:
    total = wanted + other
    part: Floats = np.full(np.shape(total), np.nan)
    np.divide(wanted, total, out=part, where=total > 0)
    return part

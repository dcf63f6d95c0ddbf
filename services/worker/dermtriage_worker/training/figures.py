"""What is measured of predictions, with intervals by lesion."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dermtriage.states import CLASSES, SEVERE_CLASSES

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]
Measure = Callable[[NDArray[np.intp]], float]
"""A figure of the photographs with the given indices."""


def severe_mask() -> Bools:
    """For each class, whether it is severe: bool, shape (7,)."""
    return np.array([name in SEVERE_CLASSES for name in CLASSES])


def auc(scores: Floats, positive: Bools) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney), ties counted half.

    NaN where one of the two kinds is absent.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    rank_sum = float(ranks[positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def balanced_accuracy(predicted: Ints, truth: Ints, classes: int) -> float:
    """Mean recall over the classes that occur."""
    recalls = [
        float((predicted[truth == index] == index).mean())
        for index in range(classes)
        if (truth == index).any()
    ]
    return float(np.mean(recalls))


def bootstrap_by_lesion(
    measure: Measure,
    lesions: Sequence[str],
    *,
    seed: int,
    repeats: int = 1000,
) -> tuple[float, float]:
    """95 % percentile interval of a figure, drawing lesions with all their photographs.

    Parameters
    ----------
    measure
        The figure of the photographs with the given indices.
    lesions
        Lesion id of each photograph.
    seed, repeats
        Of the resampling.
    """
    _, group = np.unique(np.asarray(lesions), return_inverse=True)
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    generator = np.random.default_rng(seed)
    figures = []
    for _ in range(repeats):
        drawn = generator.integers(0, len(members), len(members))
        figures.append(measure(np.concatenate([members[index] for index in drawn])))
    low, high = np.nanpercentile(figures, [2.5, 97.5])
    return float(low), float(high)


def specificity_at_sensitivity(scores: Floats, positive: Bools, wanted: float) -> float:
    """Specificity at the highest threshold that reaches the wanted sensitivity."""
    ill = np.sort(scores[positive])
    missed = min(int(np.floor((1 - wanted) * len(ill) + 1e-9)), len(ill) - 1)
    return float((scores[~positive] < ill[missed]).mean())


def calibration_error(probabilities: Floats, positive: Bools, bins: int = 15) -> float:
    """Compute the expected calibration error over bins with equally many photographs each."""
    order = np.argsort(probabilities, kind="stable")
    gaps = [
        abs(float(probabilities[part].mean() - positive[part].mean())) * len(part)
        for part in np.array_split(order, bins)
        if len(part)
    ]
    return sum(gaps) / len(order)

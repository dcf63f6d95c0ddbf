"""What is measured of predictions, with intervals by lesion."""

from collections.abc import Callable, Mapping, Sequence

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
    measures: Mapping[str, Measure], lesions: Sequence[str], *, seed: int, repeats: int = 1000
) -> dict[str, tuple[float, float]]:
    """Compute 95 % percentile intervals, drawing lesions with all their photographs.

    Parameters
    ----------
    measures
        Figures by name; all are taken of the same draws.
    lesions
        Lesion id of each photograph.
    seed, repeats
        Of the resampling.

    Returns
    -------
    dict
        Lower and upper end by name. A draw on which a figure is undefined (NaN) is left out.
    """
    _, group = np.unique(np.asarray(lesions), return_inverse=True)
    photographs = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    generator = np.random.default_rng(seed)
    figures: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(repeats):
        drawn = generator.integers(0, len(photographs), len(photographs))
        indices = np.concatenate([photographs[lesion] for lesion in drawn])
        for name, measure in measures.items():
            figures[name].append(measure(indices))
    ends = {name: np.nanpercentile(values, [2.5, 97.5]) for name, values in figures.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def specificity_at_sensitivity(scores: Floats, positive: Bools, wanted: float) -> float:
    """Return the specificity at the highest threshold that reaches the wanted sensitivity.

    NaN where nothing is positive.
    """
    ill = np.sort(scores[positive])
    if not len(ill):
        return float("nan")
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

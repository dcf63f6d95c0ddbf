"""Statistics of predictions as functions of the photographs' weights, for the bootstrap.

scikit-learn's metrics sort the scores again for the weights of each bootstrap sample. Here they are
sorted once, and a hundred samples are one matrix operation, which is why AUC and average precision
are implemented here.
"""

import numpy as np

from dermtriage_worker.evaluation.bootstrap import Statistic, Weights
from dermtriage_worker.evaluation.figures import Bools, Floats, Ints, calibration_bins


def share(flagged: Bools, among: Bools) -> Statistic:
    """Return the share of the flagged among some photographs."""
    both, base = (flagged & among).astype(np.float32), among.astype(np.float32)
    return Statistic(
        lambda weights: _divide(weights @ both, weights @ base),
        photographs=int(among.sum()),
        hits=int(both.sum()),
    )


def auc(scores: Floats, positive: Bools, among: Bools | None = None) -> Statistic:
    """Return the area under the ROC curve (Mann-Whitney); ties count half."""
    ranking = _Ranking(scores, positive, among)

    def compute(weights: Weights) -> Floats:
        positives, negatives = ranking.counts(weights)
        below = np.cumsum(negatives, axis=1) - negatives / 2
        return _divide(np.einsum("dk,dk->d", positives, below), positives.sum(1) * negatives.sum(1))

    return Statistic(compute, ranking.photographs)


def average_precision(scores: Floats, positive: Bools) -> Statistic:
    """Return the average precision: the area under the precision-recall step function."""
    ranking = _Ranking(scores, positive)

    def compute(weights: Weights) -> Floats:
        positives, negatives = (counts[:, ::-1] for counts in ranking.counts(weights))
        true_positives = np.cumsum(positives, axis=1)
        flagged = true_positives + np.cumsum(negatives, axis=1)
        precision = np.zeros_like(flagged)
        np.divide(true_positives, flagged, out=precision, where=flagged > 0)
        return _divide((positives * precision).sum(1), positives.sum(1))

    return Statistic(compute, ranking.photographs)


def specificity_at_sensitivity(scores: Floats, positive: Bools, wanted: float) -> Statistic:
    """Return the specificity at the highest threshold of each sample that reaches a sensitivity."""
    ranking = _Ranking(scores, positive)

    def compute(weights: Weights) -> Floats:
        positives, negatives = ranking.counts(weights)
        max_missed = np.floor((1 - wanted) * positives.sum(1) + 1e-9)
        threshold = (np.cumsum(positives, axis=1) > max_missed[:, None]).argmax(1)
        below = np.cumsum(negatives, axis=1) - negatives
        true_negatives = below[np.arange(len(weights)), threshold]
        defined = np.where(positives.sum(1) > 0, true_negatives, np.nan)
        return _divide(defined, negatives.sum(1))

    return Statistic(compute, ranking.photographs)


def balanced_accuracy(predicted: Ints, truth: Ints, classes: int) -> Statistic:
    """Return the mean recall over the classes that occur."""
    recalls = [share(predicted == index, truth == index).compute for index in range(classes)]

    def compute(weights: Weights) -> Floats:
        table = np.stack([recall(weights) for recall in recalls])
        defined = ~np.isnan(table)
        return _divide(np.where(defined, table, 0).sum(0), defined.sum(0).astype(float))

    return Statistic(compute, len(truth))


def calibration_error(probabilities: Floats, positive: Bools) -> Statistic:
    """Return the expected calibration error over bins of equal size, which are those of the set."""
    parts = calibration_bins(probabilities, positive)
    gaps = np.zeros((len(probabilities), len(parts)))
    for column, part in enumerate(parts):
        gaps[part.indices, column] = (probabilities - positive)[part.indices]
    return Statistic(
        lambda weights: _divide(np.abs(weights @ gaps).sum(1), weights.sum(1)),
        len(probabilities),
    )


class _Ranking:
    """Photographs in ascending order of their scores; equal scores form one group."""

    def __init__(self, scores: Floats, positive: Bools, among: Bools | None = None) -> None:
        chosen = np.arange(len(scores)) if among is None else np.flatnonzero(among)
        self.photographs = len(chosen)
        self._order = chosen[np.argsort(scores[chosen], kind="stable")]
        ordered = scores[self._order]
        self._starts = np.flatnonzero(np.diff(ordered, prepend=-np.inf))
        self._positive = positive[self._order].astype(np.float32)

    def counts(self, weights: Weights) -> tuple[Floats, Floats]:
        """Count positives and negatives of each sample and distinct score: (samples, scores)."""
        if not self.photographs:
            return np.zeros((len(weights), 1)), np.zeros((len(weights), 1))
        ordered = weights[:, self._order]
        positives = np.add.reduceat(
            ordered * self._positive, self._starts, axis=1, dtype=np.float64
        )
        return positives, np.add.reduceat(
            ordered, self._starts, axis=1, dtype=np.float64
        ) - positives


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    quotient: Floats = np.full(len(denominator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient

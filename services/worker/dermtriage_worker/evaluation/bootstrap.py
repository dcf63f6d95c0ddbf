"""Figures with bootstrap intervals: every figure is a function of the photographs' weights.

A draw of the bootstrap gives each photograph a weight: how often its lesion was drawn. The figure
itself is the one with all weights one. scikit-learn's metrics sort the scores anew for the weights
of each draw. Here they are sorted once and a hundred draws are one matrix operation, which is why
AUC and average precision are written out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermtriage_worker.evaluation.figures import (
    Bools,
    Floats,
    Ints,
    calibration_bins,
    clopper_pearson,
)
from dermtriage_worker.evaluation.results import Estimate

DRAWS = 1000
_CHUNK = 125
"""Draws at once: what a figure makes on the way stays a few megabytes."""

Weights = NDArray[np.float32]
"""How often each photograph was drawn, shape (draws, photographs)."""
Measure = Callable[[Weights], Floats]
"""A figure of each draw, shape (draws,); NaN where it is undefined."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A figure to be measured.

    Attributes
    ----------
    of
        The figure of a draw.
    photographs
        Number of photographs it is computed from.
    hits
        For a share: the number of photographs in its numerator.
    """

    of: Measure
    photographs: int
    hits: int | None = None


class Bootstrap:
    """Draws of lesions, with replacement and with all their photographs.

    All figures are taken of the same draws, so that differences between them are paired.

    Parameters
    ----------
    lesions
        Lesion id of each photograph; not empty.
    seed, draws
        Of the resampling.
    """

    def __init__(self, lesions: Sequence[str], *, seed: int, draws: int = DRAWS) -> None:
        _, lesion = np.unique(np.asarray(lesions), return_inverse=True)
        count = int(lesion.max()) + 1
        drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), draws)
        self._weights: Weights = drawn.astype(np.float32)[:, lesion]

    def estimate(self, quantity: Quantity) -> Estimate:
        """Measure a figure with its 95 % percentile interval.

        A draw on which the figure is undefined is left out. Where all or none of the photographs
        hit, draws cannot differ, and the interval is Clopper and Pearson's.
        """
        parts = np.split(self._weights, range(_CHUNK, len(self._weights), _CHUNK))
        draws = np.concatenate([quantity.of(part) for part in parts])
        draws = draws[~np.isnan(draws)]
        low, high = np.percentile(draws, [2.5, 97.5]) if len(draws) else (np.nan, np.nan)
        hits, of = quantity.hits, quantity.photographs
        exact = clopper_pearson(hits, of) if hits is not None and of else None
        if exact is not None and hits in {0, of}:
            low, high = exact
        value = float(quantity.of(np.ones_like(self._weights[:1]))[0])
        # The draws' own noise raises a calibration error, so that all of them may lie above it.
        return Estimate(
            value=value,
            low=min(float(low), value),
            high=max(float(high), value),
            photographs=of,
            hits=hits,
            exact=exact,
        )


def share(flagged: Bools, among: Bools) -> Quantity:
    """Share of the flagged among some photographs."""
    both, base = (flagged & among).astype(np.float32), among.astype(np.float32)
    return Quantity(
        lambda weights: _divide(weights @ both, weights @ base),
        photographs=int(among.sum()),
        hits=int(both.sum()),
    )


def auc(scores: Floats, positive: Bools, among: Bools | None = None) -> Quantity:
    """Area under the ROC curve (Mann-Whitney), ties counted half."""
    ranking = _Ranking(scores, positive, among)

    def of(weights: Weights) -> Floats:
        positives, negatives = ranking.counts(weights)
        below = np.cumsum(negatives, axis=1) - negatives / 2
        return _divide(np.einsum("dk,dk->d", positives, below), positives.sum(1) * negatives.sum(1))

    return Quantity(of, ranking.photographs)


def average_precision(scores: Floats, positive: Bools) -> Quantity:
    """Area under the precision-recall steps."""
    ranking = _Ranking(scores, positive)

    def of(weights: Weights) -> Floats:
        positives, negatives = (counts[:, ::-1] for counts in ranking.counts(weights))
        found = np.cumsum(positives, axis=1)
        flagged = found + np.cumsum(negatives, axis=1)
        precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0)
        return _divide((positives * precision).sum(1), positives.sum(1))

    return Quantity(of, ranking.photographs)


def specificity_at_sensitivity(scores: Floats, positive: Bools, wanted: float) -> Quantity:
    """Specificity at the highest threshold that reaches a sensitivity, chosen in each draw."""
    ranking = _Ranking(scores, positive)

    def of(weights: Weights) -> Floats:
        positives, negatives = ranking.counts(weights)
        may_miss = np.floor((1 - wanted) * positives.sum(1) + 1e-9)
        threshold = (np.cumsum(positives, axis=1) > may_miss[:, None]).argmax(1)
        cleared = (np.cumsum(negatives, axis=1) - negatives)[np.arange(len(weights)), threshold]
        defined = np.where(positives.sum(1) > 0, cleared, np.nan)
        return _divide(defined, negatives.sum(1))

    return Quantity(of, ranking.photographs)


def balanced_accuracy(predicted: Ints, truth: Ints, classes: int) -> Quantity:
    """Mean recall over the classes that occur."""
    recalls = [share(predicted == index, truth == index).of for index in range(classes)]

    def of(weights: Weights) -> Floats:
        table = np.stack([recall(weights) for recall in recalls])
        there = ~np.isnan(table)
        return _divide(np.where(there, table, 0).sum(0), there.sum(0).astype(float))

    return Quantity(of, len(truth))


def calibration_error(probabilities: Floats, positive: Bools) -> Quantity:
    """Calibration error, expected over the bins of the whole set."""
    parts = calibration_bins(probabilities, positive)
    gaps = np.zeros((len(probabilities), len(parts)))
    for column, part in enumerate(parts):
        gaps[part.indices, column] = (probabilities - positive)[part.indices]
    return Quantity(
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
        """Count the positive and the negative photographs of each draw and distinct score."""
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

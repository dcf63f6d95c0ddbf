"""Bootstrap intervals by lesion.

A bootstrap sample gives each photograph a weight: how often its lesion was drawn. A statistic is a
function of these weights. With all weights one it is that of the set itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermtriage_worker.evaluation.figures import Floats, clopper_pearson
from dermtriage_worker.evaluation.results import Estimate

DRAWS = 1000
_CHUNK = 125
"""Samples that are computed together: intermediate arrays stay at a few megabytes."""

Weights = NDArray[np.float32]
"""How often each photograph was drawn, shape (samples, photographs)."""
Compute = Callable[[Weights], Floats]
"""Computes a statistic of each sample, shape (samples,); NaN where it is undefined."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """A statistic to estimate.

    Attributes
    ----------
    compute
        Its values for bootstrap samples.
    photographs
        Number of photographs it is computed from.
    hits
        For a share: the number of photographs in its numerator.
    """

    compute: Compute
    photographs: int
    hits: int | None = None


class Bootstrap:
    """Samples of lesions, drawn with replacement and with all their photographs.

    All statistics use the same samples, so that differences between them are paired.

    Parameters
    ----------
    lesions
        Lesion id of each photograph; not empty.
    seed
        Of the resampling.
    draws
        Number of samples.
    """

    def __init__(self, lesions: Sequence[str], *, seed: int, draws: int = DRAWS) -> None:
        _, lesion = np.unique(np.asarray(lesions), return_inverse=True)
        count = int(lesion.max()) + 1
        drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), draws)
        self._weights: Weights = drawn.astype(np.float32)[:, lesion]

    def estimate(self, statistic: Statistic) -> Estimate:
        """Compute a statistic with its 95 % percentile interval.

        A sample on which the statistic is undefined is left out. For a share of 0 or 1 all samples
        agree, and the interval is Clopper and Pearson's.
        """
        parts = np.split(self._weights, range(_CHUNK, len(self._weights), _CHUNK))
        draws = np.concatenate([statistic.compute(part) for part in parts])
        draws = draws[~np.isnan(draws)]
        low, high = np.percentile(draws, [2.5, 97.5]) if len(draws) else (np.nan, np.nan)
        hits, of = statistic.hits, statistic.photographs
        exact = clopper_pearson(hits, of) if hits is not None and of else None
        if exact is not None and hits in {0, of}:
            low, high = exact
        value = float(statistic.compute(np.ones_like(self._weights[:1]))[0])
        # Resampling noise raises a calibration error, so that all samples may lie above the value.
        return Estimate(
            value=value,
            low=min(float(low), value),
            high=max(float(high), value),
            photographs=of,
            hits=hits,
            exact=exact,
        )

"""Bootstrap intervals cover what they claim to cover."""

import numpy as np
import pytest

from dermtriage_worker.evaluation.bootstrap import Bootstrap
from dermtriage_worker.evaluation.figures import clopper_pearson
from dermtriage_worker.evaluation.weighted_statistics import auc, share


def test_siblings_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).random(60) < 0.5, 10)
    half = share(values, np.ones(600, bool))
    alone = Bootstrap([str(index) for index in range(600)], seed=1).estimate(half)
    siblings = Bootstrap([str(index // 10) for index in range(600)], seed=1).estimate(half)
    assert siblings.low < alone.low < values.mean() < alone.high < siblings.high
    assert siblings.high - siblings.low > 2 * (alone.high - alone.low)
    assert alone.exact == pytest.approx((alone.low, alone.high), abs=0.02)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(3)
    lesions = [str(index) for index in range(150)]
    covered = 0
    for repeat in range(100):
        scores = generator.normal(size=150)
        positive = generator.random(150) < 0.4
        # Two normal distributions a distance of d apart have an AUC of Phi(d / sqrt(2)).
        found = Bootstrap(lesions, seed=repeat, draws=200).estimate(
            auc(scores + positive * 1.0, positive)
        )
        covered += found.low <= 0.7602 <= found.high
    assert covered >= 88


def test_where_all_agree_the_interval_is_exact() -> None:
    everything = np.ones(12, bool)
    found = Bootstrap([str(i) for i in range(12)], seed=0).estimate(share(everything, everything))
    assert (found.value, found.hits, found.photographs) == (1, 12, 12)
    assert (found.low, found.high) == found.exact == clopper_pearson(12, 12)


def test_the_same_seed_gives_the_same_interval() -> None:
    generator = np.random.default_rng(0)
    statistic = auc(generator.random(80), generator.random(80) < 0.5)
    lesions = [str(index // 2) for index in range(80)]
    assert Bootstrap(lesions, seed=4).estimate(statistic) == Bootstrap(lesions, seed=4).estimate(
        statistic
    )

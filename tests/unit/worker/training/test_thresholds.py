"""Thresholds against scores whose thresholds are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermtriage_worker.training.thresholds import choose_thresholds


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=20, max_size=200),
    st.integers(0, 1000),
)
def test_thresholds_reach_what_they_promise(pairs: list[tuple[float, bool]], seed: int) -> None:
    severe = np.array([score for score, _ in pairs])
    positive = np.array([flag for _, flag in pairs])
    positive[:2] = [True, False]
    disagreement = np.random.default_rng(seed).random(len(pairs))
    thresholds = choose_thresholds(severe, positive, disagreement, np.zeros(len(pairs), int))
    assert (severe[positive] >= thresholds.lower).mean() >= 0.975
    assert thresholds.lower <= thresholds.upper
    low = severe < thresholds.lower
    assert (low & (disagreement > thresholds.disagreement)).sum() <= 0.1 * low.sum() + 1


def test_upper_threshold_prefers_specificity() -> None:
    severe = np.concatenate([np.linspace(0.0, 0.99, 100), np.linspace(0.3, 1.0, 50)])
    positive = np.arange(150) >= 100
    upper = choose_thresholds(severe, positive, np.zeros(150), np.zeros(150, int)).upper
    assert (severe[~positive] < upper).mean() >= 0.9


def test_upper_threshold_of_well_told_classes_flags_four_fifths() -> None:
    severe = np.concatenate([np.linspace(0.0, 0.3, 100), np.linspace(0.2, 1.0, 50)])
    positive = np.arange(150) >= 100
    upper = choose_thresholds(severe, positive, np.zeros(150), np.zeros(150, int)).upper
    assert (severe[positive] >= upper).mean() == pytest.approx(0.8)


def test_thresholds_hold_in_either_group() -> None:
    well, ill = np.linspace(0.0, 0.6, 200), np.linspace(0.2, 1.0, 100)
    severe = np.concatenate([well, ill, 0.8 * well, 0.8 * ill])
    positive = np.tile(np.arange(300) >= 200, 2)
    groups = np.repeat([0, 1], 300)
    found = choose_thresholds(severe, positive, np.zeros(600), groups)
    for group in (0, 1):
        own = groups == group
        assert (severe[own & positive] >= found.lower).mean() >= 0.98
        assert (severe[own & ~positive] < found.upper).mean() >= 0.9
    alone = choose_thresholds(severe[:300], positive[:300], np.zeros(300), groups[:300])
    assert found.lower < alone.lower
    assert found.upper == alone.upper

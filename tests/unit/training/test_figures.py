"""Figures against known cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dermtriage_worker.training.figures import (
    auc,
    balanced_accuracy,
    bootstrap_by_lesion,
    calibration_error,
    severe_mask,
    specificity_at_sensitivity,
)

YES, NO = True, False


def test_severe_classes() -> None:
    assert severe_mask().tolist() == [YES, YES, NO, NO, YES, NO, NO]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=50))
def test_auc_equals_the_reference(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], float)
    positive = np.array([flag for _, flag in pairs])
    if positive.all() or not positive.any():
        assert np.isnan(auc(scores, positive))
    else:
        assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


def test_balanced_accuracy_weighs_classes_alike() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    assert balanced_accuracy(np.zeros(100, int), truth, 7) == 0.5


def test_specificity_at_sensitivity() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.75, 0.1, 0.1, 0.3])
    positive = np.array([YES] * 4 + [NO] * 4)
    assert specificity_at_sensitivity(scores, positive, 0.75) == 0.75
    assert specificity_at_sensitivity(scores, positive, 1.0) == 0.5


def test_calibration_error_of_honest_and_boastful_probabilities() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.random(20_000)
    truth = generator.random(20_000) < probabilities
    assert calibration_error(probabilities, truth) < 0.02
    assert calibration_error(probabilities**3, truth) > 0.1


def test_siblings_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).random(60), 10)
    measures = {"mean": lambda indices: float(values[indices].mean())}
    alone = [str(index) for index in range(600)]
    siblings = [str(index // 10) for index in range(600)]
    narrow = bootstrap_by_lesion(measures, alone, seed=1, repeats=200)["mean"]
    wide = bootstrap_by_lesion(measures, siblings, seed=1, repeats=200)["mean"]
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])

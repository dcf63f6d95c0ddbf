"""Weighted statistics equal the reference implementations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from dermtriage_worker.evaluation import weighted_statistics as weighted
from dermtriage_worker.evaluation.bootstrap import Bootstrap, Statistic, Weights

# Score, whether it is positive, and how often it was drawn. Few scores make many ties.
Drawn = list[tuple[int, bool, int]]
DRAWN = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)), min_size=2, max_size=60
)


def _arrays(drawn: Drawn) -> tuple[np.ndarray, np.ndarray, Weights]:
    scores = np.array([score / 7 for score, _, _ in drawn])
    positive = np.array([flag for _, flag, _ in drawn])
    return scores, positive, np.array([[times for _, _, times in drawn]], np.float32)


def _once(statistic: Statistic, count: int) -> float:
    return float(statistic.compute(np.ones((1, count), np.float32))[0])


@given(DRAWN)
def test_auc_and_average_precision_equal_the_reference(drawn: Drawn) -> None:
    scores, positive, weights = _arrays(drawn)
    auc = weighted.auc(scores, positive).compute(weights)[0]
    precision = weighted.average_precision(scores, positive).compute(weights)[0]
    there = weights[0] > 0
    if not positive[there].any():
        assert np.isnan(auc)
        assert np.isnan(precision)
        return
    expected = average_precision_score(positive, scores, sample_weight=weights[0])
    assert precision == pytest.approx(expected)
    if positive[there].all():
        assert np.isnan(auc)
    else:
        assert auc == pytest.approx(roc_auc_score(positive, scores, sample_weight=weights[0]))


@given(DRAWN, st.sampled_from([0.5, 0.9, 0.95, 1.0]))
def test_specificity_is_that_of_the_repeated_photographs(drawn: Drawn, wanted: float) -> None:
    scores, positive, weights = _arrays(drawn)
    found = weighted.specificity_at_sensitivity(scores, positive, wanted).compute(weights)[0]
    times = weights[0].astype(int)
    scores, positive = np.repeat(scores, times), np.repeat(positive, times)
    if positive.all() or not positive.any():
        assert np.isnan(found)
        return
    reaching = [t for t in np.unique(scores) if (scores[positive] >= t).mean() >= wanted - 1e-9]
    assert found == pytest.approx((scores[~positive] < max(reaching)).mean())


def test_specificity_at_sensitivity_of_a_known_case() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.75, 0.1, 0.1, 0.3])
    positive = np.arange(8) < 4
    assert _once(weighted.specificity_at_sensitivity(scores, positive, 0.75), 8) == 0.75
    assert _once(weighted.specificity_at_sensitivity(scores, positive, 1.0), 8) == 0.5


def test_balanced_accuracy_is_that_of_the_classes_that_occur() -> None:
    generator = np.random.default_rng(0)
    truth, predicted = generator.integers(0, 5, 300), generator.integers(0, 5, 300)
    weights = generator.integers(0, 3, (1, 300)).astype(np.float32)
    expected = balanced_accuracy_score(truth, predicted, sample_weight=weights[0])
    found = weighted.balanced_accuracy(predicted, truth, 7).compute(weights)[0]
    assert found == pytest.approx(expected)


def test_calibration_error_of_honest_and_boastful_probabilities() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.random(20_000)
    truth = generator.random(20_000) < probabilities
    assert _once(weighted.calibration_error(probabilities, truth), 20_000) < 0.02
    assert _once(weighted.calibration_error(probabilities**3, truth), 20_000) > 0.1


def test_auc_among_some_looks_at_no_others() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.4])
    positive = np.array([False, True, False, True])
    among = np.array([False, False, True, True])
    found = Bootstrap(list("abcd"), seed=0).estimate(weighted.auc(scores, positive, among))
    assert (found.value, found.photographs) == (0, 2)
    nobody = Bootstrap(list("abcd"), seed=0).estimate(weighted.auc(scores, positive, ~positive))
    assert np.isnan(nobody.value)
    assert np.isnan(nobody.low)

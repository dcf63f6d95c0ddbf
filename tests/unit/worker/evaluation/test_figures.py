"""Figures against known cases."""

import numpy as np
import pytest

from dermtriage_worker.evaluation.figures import (
    auc,
    balanced_accuracy,
    calibration_bins,
    clopper_pearson,
    negative_predictive_value,
    positive_predictive_value,
    severe_mask,
    threshold_for,
)

YES, NO = True, False


def test_severe_classes() -> None:
    assert severe_mask().tolist() == [YES, YES, NO, NO, YES, NO, NO]


def test_auc_is_undefined_without_both_kinds() -> None:
    scores = np.array([0.2, 0.7, 0.7])
    assert auc(scores, np.array([NO, YES, NO])) == 0.75
    assert np.isnan(auc(scores, np.array([YES, YES, YES])))
    assert np.isnan(auc(scores, np.array([NO, NO, NO])))


def test_balanced_accuracy_weighs_classes_alike() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    assert balanced_accuracy(np.zeros(100, int), truth, 7) == 0.5


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        # 292 of 307 found: 95.1 % with a lower bound of 92.1 %.
        (292, 307, 0.921, 0.972),
        # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I.
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_clopper_pearson_equals_what_was_published(
    hits: int, of: int, low: float, high: float
) -> None:
    assert clopper_pearson(hits, of) == pytest.approx((low, high), abs=6e-4)
    upside_down = clopper_pearson(of - hits, of)
    assert upside_down == pytest.approx((1 - high, 1 - low), abs=6e-4)


def test_threshold_flags_the_wanted_share_and_no_more() -> None:
    scores = np.arange(20) / 20
    assert threshold_for(scores, 0.95) == 0.05
    assert threshold_for(scores, 0.96) == 0.0
    assert threshold_for(scores, 1.0) == 0.0
    assert threshold_for(scores, 0.0) == 0.95


def test_predictive_values_follow_the_prevalence() -> None:
    # Of 10,000 with 1 % ill: 90 ill and 990 well are flagged, 10 ill and 8,910 well are not.
    assert negative_predictive_value(0.9, 0.9, 0.01) == pytest.approx(8910 / 8920)
    assert positive_predictive_value(0.9, 0.9, 0.01) == pytest.approx(90 / 1080)
    assert negative_predictive_value(1.0, 0.5, 0.3) == 1
    assert np.isnan(negative_predictive_value(1.0, 0.0, 0.3))
    assert np.isnan(positive_predictive_value(0.0, 1.0, 0.3))


def test_calibration_bins_hold_all_photographs_in_order() -> None:
    generator = np.random.default_rng(0)
    probabilities, positive = generator.random(1000), generator.random(1000) < 0.3
    bins = calibration_bins(probabilities, positive, 15)
    assert sorted(np.concatenate([part.indices for part in bins])) == list(range(1000))
    assert [part.predicted for part in bins] == sorted(part.predicted for part in bins)
    assert sum(part.positives for part in bins) == positive.sum()
    assert len(calibration_bins(probabilities[:45], positive[:45])) == 2
    assert len(calibration_bins(probabilities[:3], positive[:3])) == 1

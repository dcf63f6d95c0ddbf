"""Figures by lesion against lesions whose figures are known."""

import numpy as np
import pytest

from dermtriage_worker.evaluation.bootstrap import Bootstrap
from dermtriage_worker.evaluation.by_lesion import lesion_figures
from dermtriage_worker.evaluation.weighted_statistics import auc, share


def test_the_most_severe_photograph_of_a_lesion_decides() -> None:
    # Severe: a is found by its second photograph, b by none, and all of c's are called low.
    # Benign: one of d's photographs stands in the severe lane, e and f are called low, g is not.
    lesions = ["a", "b", "a", "c", "d", "e", "d", "f", "f", "c", "g"]
    severe = np.array([0.1, 0.5, 0.9, 0.1, 0.2, 0.1, 0.8, 0.1, 0.05, 0.15, 0.4])
    figures = lesion_figures(
        lesions,
        p_severe=severe,
        positive=np.array([name in "abc" for name in lesions]),
        flagged=severe >= 0.7,
        low=severe < 0.3,
        seed=0,
    )
    hits = {name: (found.hits, found.photographs) for name, found in figures.items()}
    assert hits == {
        # Of the twelve pairs of a severe and a benign lesion, a wins four, b three and c two.
        "auc_by_lesion": (None, 7),
        "sensitivity_upper_by_lesion": (1, 3),
        "specificity_upper_by_lesion": (3, 4),
        "severe_called_low_by_lesion": (1, 3),
        "benign_called_low_by_lesion": (2, 4),
    }
    assert figures["auc_by_lesion"].value == pytest.approx(9 / 12)


def test_single_photographs_have_the_figures_of_photographs() -> None:
    generator = np.random.default_rng(3)
    severe, positive = generator.random(200), generator.random(200) < 0.3
    lesions = [f"lesion{index:03d}" for index in range(200)]
    figures = lesion_figures(
        lesions, p_severe=severe, positive=positive, flagged=severe > 0.6, low=severe < 0.2, seed=4
    )
    bootstrap = Bootstrap(lesions, seed=4)
    assert figures["auc_by_lesion"] == bootstrap.estimate(auc(severe, positive))
    assert figures["sensitivity_upper_by_lesion"] == bootstrap.estimate(
        share(severe > 0.6, positive)
    )
    assert figures["benign_called_low_by_lesion"] == bootstrap.estimate(
        share(severe < 0.2, ~positive)
    )

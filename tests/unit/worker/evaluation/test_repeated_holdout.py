"""Repeated hold-out, as in small studies."""

import numpy as np
import pytest
from tests.unit.worker.evaluation.conftest import labelled, plausible, prediction

from dermtriage_worker.evaluation.repeated_holdout import measure_repeated_holdout


def test_only_lesions_with_a_single_photograph_count() -> None:
    labels, said = plausible(900)
    found = measure_repeated_holdout(said, labels)
    assert found is not None
    assert found.photographs == 300
    assert found.sensitivity.low <= found.sensitivity.mean <= found.sensitivity.high
    assert found.sensitivity.mean == pytest.approx(found.wanted_sensitivity, abs=0.05)
    assert measure_repeated_holdout(said, labels) == found


def test_scores_that_tell_all_apart_are_perfect() -> None:
    labels = labelled(["mel"] * 40 + ["nv"] * 60)
    generator = np.random.default_rng(0)
    said = [prediction(0.6 + 0.3 * generator.random()) for _ in range(40)]
    said += [prediction(0.3 * generator.random()) for _ in range(60)]
    found = measure_repeated_holdout(said, labels)
    assert found is not None
    assert (found.auc.low, found.specificity.low) == (1, 1)
    assert found.sensitivity.mean >= 0.9


def test_the_operating_point_is_not_chosen_on_the_test() -> None:
    # Scores without any meaning: chosen on the test, the sensitivity would never fall short.
    labels = labelled(["mel"] * 100 + ["nv"] * 100)
    generator = np.random.default_rng(1)
    said = [prediction(float(generator.random())) for _ in range(200)]
    found = measure_repeated_holdout(said, labels)
    assert found is not None
    assert found.sensitivity.low < found.wanted_sensitivity
    assert found.auc.mean == pytest.approx(0.5, abs=0.15)


def test_too_few_lesions_are_not_split() -> None:
    labels = labelled(["mel"] * 3 + ["nv"] * 60)
    assert measure_repeated_holdout([prediction(0.5)] * 63, labels) is None

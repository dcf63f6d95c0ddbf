"""Calibration and thresholds against cases whose answer is known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dermtriage_worker.ensemble.calibration import combine, member_log_probabilities
from dermtriage_worker.training.calibrate import (
    choose_thresholds,
    fit_combination,
    fit_member,
    fit_patients,
    log_loss,
)

PRIOR = torch.tensor([0.05, 0.05, 0.1, 0.05, 0.15, 0.5, 0.1], dtype=torch.float64).log()


def _drawn(count: int, seed: int, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    """Logits and labels drawn from exactly the probabilities that these imply with PRIOR."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 7, generator=generator, dtype=torch.float64) * spread
    labels = torch.multinomial((logits + PRIOR).softmax(1), 1, generator=generator).flatten()
    return logits, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_is_found_again(temperature: float) -> None:
    logits, labels = _drawn(4000, seed=0)
    found, bias = fit_member(logits * temperature, labels, PRIOR)
    assert found == pytest.approx(temperature, rel=0.1)
    expected = (PRIOR - PRIOR.mean()).tolist()
    assert bias == pytest.approx(expected, abs=0.25)


def test_fitting_does_not_worsen_the_likelihood() -> None:
    logits, labels = _drawn(500, seed=1)
    found, bias = fit_member(logits * 4, labels, PRIOR)
    fitted = member_log_probabilities(logits * 4, found, bias).exp()
    assert log_loss(fitted, labels) < log_loss((logits * 4 + PRIOR).softmax(1), labels)


def test_useless_member_gets_little_weight() -> None:
    logits, labels = _drawn(2000, seed=2)
    noise, _ = _drawn(2000, seed=3)
    logs = [(logits + PRIOR).log_softmax(1), (noise + PRIOR).log_softmax(1)]
    weights, temperature = fit_combination(logs, labels)
    assert sum(weights) == pytest.approx(1)
    assert weights[1] < 0.1
    assert log_loss(combine(logs, weights, temperature), labels) < 1.1 * log_loss(
        logs[0].exp(), labels
    )


def test_what_patients_tell_is_found_again_and_worth_nothing_where_nothing_is_known() -> None:
    logits, _ = _drawn(6000, seed=4)
    generator = torch.Generator().manual_seed(5)
    patients = (torch.rand(6000, 2, generator=generator) < 0.5).double()
    patients[:, 1] = 0  # nobody tells that
    told = torch.tensor([[0, 0, 0, 0, 1.5, -1.5, 0], [0.0] * 7], dtype=torch.float64)
    implied = (logits + PRIOR + patients @ told).softmax(1)
    labels = torch.multinomial(implied, 1, generator=generator).flatten()

    found = fit_patients((logits + PRIOR).log_softmax(1), patients, labels)
    difference = found[0] - found[0].mean() - told[0]
    torch.testing.assert_close(difference, torch.zeros(7).double(), atol=0.4, rtol=0)
    assert not found[1].any()


def test_what_is_known_of_few_patients_moves_little() -> None:
    logits, labels = _drawn(3000, seed=6)
    log = (logits + PRIOR).log_softmax(1)
    patients = torch.zeros(3000, 1)
    patients[torch.nonzero(labels == 4)[:2]] = 1.0
    found = fit_patients(log, patients, labels)
    assert 0 < float(found[0, 4] - found[0].mean()) < 0.2


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


def test_thresholds_hold_in_either_way() -> None:
    well, ill = np.linspace(0.0, 0.6, 200), np.linspace(0.2, 1.0, 100)
    severe = np.concatenate([well, ill, 0.8 * well, 0.8 * ill])
    positive = np.tile(np.arange(300) >= 200, 2)
    ways = np.repeat([0, 1], 300)
    found = choose_thresholds(severe, positive, np.zeros(600), ways)
    for way in (0, 1):
        own = ways == way
        assert (severe[own & positive] >= found.lower).mean() >= 0.98
        assert (severe[own & ~positive] < found.upper).mean() >= 0.9
    alone = choose_thresholds(severe[:300], positive[:300], np.zeros(300), ways[:300])
    assert found.lower < alone.lower
    assert found.upper == alone.upper

"""Calibration against cases whose answer is known."""

import pytest
import torch
from torch import Tensor

from dermtriage_worker.ensemble.calibration import combine, member_log_probabilities
from dermtriage_worker.training.calibrate import (
    fit_combination,
    fit_member,
    fit_metadata,
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

    found = fit_metadata((logits + PRIOR).log_softmax(1), patients, labels)
    difference = found[0] - found[0].mean() - told[0]
    torch.testing.assert_close(difference, torch.zeros(7).double(), atol=0.4, rtol=0)
    assert not found[1].any()


def test_what_is_known_of_few_patients_moves_little() -> None:
    logits, labels = _drawn(3000, seed=6)
    log = (logits + PRIOR).log_softmax(1)
    patients = torch.zeros(3000, 1)
    patients[torch.nonzero(labels == 4)[:2]] = 1.0
    found = fit_metadata(log, patients, labels)
    assert 0 < float(found[0, 4] - found[0].mean()) < 0.2

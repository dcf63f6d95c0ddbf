"""From logits to probabilities."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.calibration import (
    calibrated,
    combine,
    member_log_probabilities,
    severe_probability,
)
from dermtriage_worker.ensemble.manifest import Calibration, Member

_logits = st.lists(st.floats(-30, 30), min_size=len(CLASSES), max_size=len(CLASSES))
_FLAT = (0.0,) * len(CLASSES)
MEMBER = Member(
    name="m", kind="m", fold=None, architecture="lesionnet", file="m", sha256="0" * 64,
    input_size=64, mean=(0.5,) * 3, std=(0.25,) * 3, views=1, weight=1, temperature=1.5, bias=_FLAT,
)  # fmt: skip


@given(_logits, _logits, st.floats(0, 1), st.floats(0.2, 5))
def test_probabilities_sum_to_one(
    first: list[float], second: list[float], weight: float, temperature: float
) -> None:
    logs = [
        member_log_probabilities(torch.tensor([logits], dtype=torch.float64), 1.3, _FLAT)
        for logits in (first, second)
    ]
    combined = combine(logs, [weight, 1 - weight], temperature)
    assert float(combined.sum()) == pytest.approx(1)
    assert 0 <= float(severe_probability(combined)) <= 1


def test_one_member_of_full_weight_speaks_alone() -> None:
    logits = torch.randn(4, len(CLASSES), generator=torch.Generator().manual_seed(0))
    own = member_log_probabilities(logits, 2.0, _FLAT)
    other = member_log_probabilities(-logits, 1.0, _FLAT)
    torch.testing.assert_close(combine([own, other], [1.0, 0.0], 1.0), (logits / 2).softmax(1))


def test_what_is_known_of_a_patient_adds_to_the_log_odds() -> None:
    patient = ((0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0), (0.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    calibration = Calibration(temperature=2.0, patient=patient)
    logits = torch.randn(3, len(CLASSES), generator=torch.Generator().manual_seed(0))
    known = torch.tensor([[1.0, 0.5], [0.0, 0.0], [0.0, 1.0]])
    alone, _ = calibrated([logits], [MEMBER], calibration)
    informed, own = calibrated([logits], [MEMBER], calibration, known)

    moved = informed.log() - alone.log()
    torch.testing.assert_close((moved[0] - moved[0, 0])[[1, 4]], torch.tensor([-1.0, 1.0]))
    torch.testing.assert_close(informed[1], alone[1])
    assert informed[2, 1] < alone[2, 1]
    torch.testing.assert_close(own[0], (logits / MEMBER.temperature).softmax(1))


def test_bias_restores_frequencies() -> None:
    shares = torch.tensor([0.02, 0.05, 0.1, 0.01, 0.1, 0.7, 0.02])
    logs = member_log_probabilities(torch.zeros(1, 7), 1.0, shares.log().tolist())
    torch.testing.assert_close(logs.exp()[0], shares)


def test_severe_is_the_sum_of_three_classes() -> None:
    probabilities = torch.tensor([[0.1, 0.2, 0.05, 0.05, 0.3, 0.25, 0.05]])
    assert float(severe_probability(probabilities)) == pytest.approx(0.6)

"""The training loss against values worked out by hand."""

import math

import pytest
import torch

from dermtriage_worker.evaluation.figures import severe_mask
from dermtriage_worker.training.loss import class_log_prior, training_loss

ZERO = torch.zeros(4, 7)
LABELS = torch.tensor([0, 4, 5, 5])


def test_prior_is_each_class_share() -> None:
    shares = class_log_prior(LABELS).exp()
    # A class that does not occur counts as if it had one photograph.
    assert shares.tolist() == pytest.approx([1 / 8] * 5 + [2 / 8, 1 / 8])


def test_loss_is_adjusted_by_the_frequencies() -> None:
    prior = class_log_prior(LABELS)
    loss = training_loss(ZERO, LABELS, prior, severe_weight=0.0)
    assert float(loss) == pytest.approx(-float(prior[LABELS].mean()))


def test_severe_against_benign_is_added_by_its_weight() -> None:
    uniform = torch.full((7,), 1 / 7).log()
    share = severe_mask().mean()
    severe = severe_mask()[LABELS.numpy()]
    binary = sum(-math.log(share if one else 1 - share) for one in severe) / len(severe)
    loss = training_loss(ZERO, LABELS, uniform, severe_weight=2.0)
    assert float(loss) == pytest.approx(math.log(7) + 2 * binary, rel=1e-5)

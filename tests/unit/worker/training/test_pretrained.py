"""ImageNet weights fill a network but for its classifier."""

import pytest
import torch
from torch import nn

from dermtriage_worker.training.checkpoint import TrainingMismatch
from dermtriage_worker.training.pretrained import load_pretrained


def test_pretrained_weights_fill_all_but_the_classifier() -> None:
    def network(classes: int) -> nn.Module:
        return _Classified(nn.Linear(4, 4), nn.Linear(4, classes))

    given, taking = network(1000), network(7)
    load_pretrained(taking, given.state_dict())
    assert torch.equal(taking.state_dict()["body.weight"], given.state_dict()["body.weight"])
    with pytest.raises(TrainingMismatch, match=r"body\.weight"):
        load_pretrained(network(7), {"other": torch.zeros(1)})


class _Classified(nn.Module):
    def __init__(self, body: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.classifier = classifier

"""What makes a member fast must not change what it says."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.device import Compute
from dermtriage_worker.ensemble.image.preprocessing import normalise
from dermtriage_worker.ensemble.image.views import Views
from dermtriage_worker.ensemble.manifest import Member
from dermtriage_worker.ensemble.metadata import encode
from dermtriage_worker.ensemble.networks.registry import create_network, patient_branch
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
COMPUTE = Compute(torch.device("cpu"), torch.float32, pass_size=1)


def _trained_like(architecture: str) -> nn.Module:
    """A network whose batch norms have seen something, so that folding has work to do."""
    torch.manual_seed(0)
    network = create_network(architecture, len(CLASSES)).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(4, 3, 64, 64))
    return network.eval()


@pytest.mark.parametrize(
    "architecture",
    ["lesionnet_tiny", "mobilenet_v2", "mobilenet_v2_headless", "efficientnet_lite0_headless"],
)
def test_folded_network_equals_the_trained_one(architecture: str) -> None:
    network = _trained_like(architecture)
    member = _member(architecture)
    squares = torch.randint(0, 256, (2, 3, 150, 150), dtype=torch.uint8)
    with torch.inference_mode():
        expected = network(normalise(squares, 64, MEAN, STD))
        served = ScoringNetwork(member, network.state_dict(), COMPUTE)
        alone, _ = served.logits_and_features(Views(squares), encode([{}, {}]))
        torch.testing.assert_close(alone, expected, atol=1e-4, rtol=1e-4)
        # No batch norm is left to be computed at serving.
        assert not any(isinstance(m, nn.BatchNorm2d) for m in served._network.modules())


def test_metadata_adds_what_its_branch_says_whatever_the_views() -> None:
    network = _trained_like("lesionnet_tiny")
    branch = patient_branch(network)
    assert branch is not None
    member = _member("lesionnet_tiny").model_copy(update={"views": 4})
    squares = torch.randint(0, 256, (2, 3, 150, 150), dtype=torch.uint8)
    known = encode([{"age_approx": 70, "sex": "male"}, {}])
    with torch.inference_mode():
        served = ScoringNetwork(member, network.state_dict(), COMPUTE)
        told, untold = (
            served.logits_and_features(Views(squares), p)[0] for p in (known, encode([{}, {}]))
        )
        added = told - untold
        torch.testing.assert_close(added, branch(known), atol=1e-5, rtol=1e-4)
    assert added[0].abs().max() > 1e-3
    assert not added[1].any()


def test_most_networks_see_photographs_alone() -> None:
    network = create_network("mobilenet_v2", len(CLASSES))
    served = ScoringNetwork(_member("mobilenet_v2"), network.state_dict(), COMPUTE)
    assert not served.reads_metadata
    assert not served.metadata_logits(encode([{"sex": "male"}])).any()


def _member(architecture: str) -> Member:
    return Member(
        name="m", kind="m", fold=None, architecture=architecture, file="m", sha256="0" * 64,
        input_size=64,
        mean=MEAN, std=STD, views=1, weight=1, temperature=1, bias=(0.0,) * len(CLASSES),
    )  # fmt: skip


def test_threads_that_share_a_network_do_not_mix_what_they_see() -> None:
    network = _trained_like("lesionnet_tiny")
    served = ScoringNetwork(_member("lesionnet_tiny"), network.state_dict(), COMPUTE)
    squares = torch.randint(0, 256, (16, 1, 3, 150, 150), dtype=torch.uint8)
    nothing = encode([{}])

    def look(one: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            return served.logits_and_features(Views(one), nothing)

    alone = [look(one) for one in squares]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(look, squares))
    for (logits, taps), (same_logits, same_taps) in zip(alone, together, strict=True):
        torch.testing.assert_close(same_logits, logits)
        torch.testing.assert_close(same_taps, taps)
    assert alone[0][1].shape[1] > 0

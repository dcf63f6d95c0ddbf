"""Convolutions that are fused say what the plain ones say, on any number of threads."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.cpu.fused_convolution import (
    FusedConvolution,
    can_fuse,
    fuse_convolutions,
    reorder_weights,
)
from dermtriage_worker.ensemble.device import Compute
from dermtriage_worker.ensemble.forward_pass import make_forward_pass
from dermtriage_worker.ensemble.manifest import Member
from dermtriage_worker.ensemble.metadata import encode
from dermtriage_worker.ensemble.networks.registry import create_network
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork

CPU = torch.device("cpu")
SIDE = 64

pytestmark = pytest.mark.skipif(
    not can_fuse(CPU, torch.float32), reason="torch was built without oneDNN"
)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def _convolutions(network: nn.Module) -> int:
    return sum(isinstance(module, nn.Conv2d) for module in network.modules())


def _network(architecture: str, compute: Compute) -> ScoringNetwork:
    torch.manual_seed(0)
    member = Member(
        name="m", kind="m", fold=None, architecture=architecture, file="m", sha256="0" * 64,
        input_size=SIDE,
        mean=(0.5,) * 3, std=(0.25,) * 3, views=2, weight=1, temperature=1,
        bias=(0.0,) * len(CLASSES),
    )  # fmt: skip
    return ScoringNetwork(member, create_network(architecture, len(CLASSES)).state_dict(), compute)


def _square() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    ("architecture", "activations_left"),
    [
        ("mobilenet_v2", 0),
        ("efficientnet_lite0_headless", 0),
        ("lesionnet_tiny", 1),  # its stem's is not bounded above
        ("resnet18", 9),
    ],
)
def test_every_convolution_is_fused_and_says_the_same(
    architecture: str, activations_left: int
) -> None:
    torch.manual_seed(0)
    plain = create_network(architecture, len(CLASSES)).eval()
    for sequence in [m for m in plain.modules() if isinstance(m, nn.Sequential)]:
        for index, module in enumerate(sequence):
            if isinstance(module, nn.BatchNorm2d):
                sequence[index] = nn.Identity()
    quick = fuse_convolutions(plain)
    assert _convolutions(quick) == 0
    assert sum(isinstance(m, FusedConvolution) for m in quick.modules()) == _convolutions(plain)
    assert sum(isinstance(m, nn.ReLU | nn.ReLU6) for m in quick.modules()) == activations_left
    with torch.inference_mode():
        # Large enough that the bounds of an activation are met.
        squares = 20 * torch.randn(2, 3, SIDE, SIDE)
        torch.testing.assert_close(quick(squares), plain(squares), atol=1e-4, rtol=1e-4)
    assert _convolutions(plain) > 0, "the original keeps its own"


def test_weights_are_laid_out_once_for_what_they_meet() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(16, 32, 1), nn.ReLU6()).eval()
    quick = fuse_convolutions(plain)
    values = torch.randn(1, 16, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        recorded = torch.jit.trace(quick, values)  # type: ignore[no-untyped-call]
        (weight,) = [b for name, b in recorded.named_buffers() if name.endswith("weight")]
        assert not weight.is_mkldnn
        reorder_weights(recorded, quick)
        (weight,) = [b for name, b in recorded.named_buffers() if name.endswith("weight")]
        assert weight.is_mkldnn
        torch.testing.assert_close(recorded(values), plain(values))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_threads_do_not_change_a_figure(dtype: torch.dtype) -> None:
    compute = Compute(CPU, dtype, pass_size=1, fused=can_fuse(CPU, dtype))
    scored = make_forward_pass([_network("mobilenet_v2", compute)], SIDE, compute)
    with torch.inference_mode():
        said = []
        for threads in (1, 2, 1):
            torch.set_num_threads(threads)
            said.append(scored(_square(), encode([{}]))[0])
    assert said[0].abs().max() > 0
    torch.testing.assert_close(said[1], said[0], atol=1e-6, rtol=1e-4)
    assert torch.equal(said[2], said[0])


def test_operators_that_fail_on_this_processor_are_not_used() -> None:
    def not_for_this_processor(_: nn.Module) -> nn.Module:
        raise RuntimeError("could not create a primitive")

    assert can_fuse(CPU, torch.float32)
    assert not can_fuse(CPU, torch.float32, not_for_this_processor)
    assert not can_fuse(torch.device("meta"), torch.float32)


def test_other_paddings_stay_as_they_are() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")).eval()
    quick = fuse_convolutions(plain)
    assert _convolutions(quick) == 1
    values = torch.randn(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        assert torch.equal(quick(values), plain(values))


def test_without_fusing_the_scores_are_the_same() -> None:
    passes = []
    for fused in (True, False):
        compute = Compute(CPU, torch.float32, pass_size=1, fused=fused)
        network = _network("lesionnet_tiny", compute)
        assert any(isinstance(module, FusedConvolution) for module in network.modules()) == fused
        passes.append(make_forward_pass([network], SIDE, compute))
    with torch.inference_mode():
        results = [forward_pass(_square(), encode([{}])) for forward_pass in passes]
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)

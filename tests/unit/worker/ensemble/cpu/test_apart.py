"""Stages that see one view at a time say what they say of all at once."""

import pytest
import torch
from torch import Tensor, nn

from dermtriage_worker.ensemble.cpu.apart import apart
from dermtriage_worker.ensemble.networks.registry import LARGE_MAPS, TAPS, create_network

VIEWS = 3


def _network(architecture: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create_network(architecture, 7).eval()


def _batches(network: nn.Module, name: str) -> list[int]:
    """Note how many views a module sees each time."""
    seen: list[int] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(len(inputs[0]))

    network.get_submodule(name).register_forward_pre_hook(note)
    return seen


@pytest.mark.parametrize("architecture", sorted(LARGE_MAPS))
def test_the_first_stages_see_one_view_and_the_others_all(architecture: str) -> None:
    stages = LARGE_MAPS[architecture]
    network = apart(_network(architecture), stages)
    first = _batches(network, f"features.0._stages.{stages - 1}")
    after = _batches(network, f"features.{stages}")
    views = torch.rand(VIEWS, 3, 64, 64)
    with torch.inference_mode():
        said = network(views)
        torch.testing.assert_close(said, _network(architecture)(views), atol=1e-5, rtol=1e-4)
    assert first == [1] * VIEWS
    assert after == [VIEWS]


@pytest.mark.parametrize("architecture", sorted(set(LARGE_MAPS) & set(TAPS)))
def test_what_is_tapped_keeps_its_place(architecture: str) -> None:
    whole, network = _network(architecture), apart(_network(architecture), LARGE_MAPS[architecture])
    seen: dict[str, list[Tensor]] = {tap: [] for tap in TAPS[architecture]}
    for one in (whole, network):
        for tap, maps in seen.items():
            one.get_submodule(tap).register_forward_hook(lambda *said, to=maps: to.append(said[2]))
    with torch.inference_mode():
        whole(torch.ones(VIEWS, 3, 64, 64))
        network(torch.ones(VIEWS, 3, 64, 64))
    for before, after in seen.values():
        torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)


def test_a_network_without_such_stages_stays_as_it_is() -> None:
    network = _network("lesionnet_tiny")
    names = [name for name, _ in network.named_modules()]
    assert [name for name, _ in apart(network, 0).named_modules()] == names

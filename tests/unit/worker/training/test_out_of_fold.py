"""What is set out of fold counts every photograph with its metadata and without."""

from pathlib import Path

import pytest
import torch

from dermtriage_worker.ensemble.device import choose_compute
from dermtriage_worker.ensemble.manifest import Member
from dermtriage_worker.ensemble.metadata import encode
from dermtriage_worker.ensemble.networks.registry import create_network
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork
from dermtriage_worker.ensemble.tiny import build_tiny_release
from dermtriage_worker.training.out_of_fold import (
    TooCostly,
    affordable_views,
    choose_views,
    logits_with_and_without_metadata,
    out_of_fold_logits,
)

FOLDS = torch.tensor([0, 1, 0, 1, 1])


@pytest.fixture
def networks(tmp_path: Path) -> list[ScoringNetwork]:
    member = build_tiny_release(tmp_path / "tiny").members[0]
    compute = choose_compute("cpu")
    torch.manual_seed(0)
    return [
        ScoringNetwork(
            member.model_copy(update={"kind": "k", "name": f"k_{fold}", "fold": fold}),
            create_network(member.architecture, 7).state_dict(),
            compute,
        )
        for fold in (0, 1)
    ]


def test_the_first_half_knows_the_patients_by_the_member_of_their_fold(
    networks: list[ScoringNetwork],
) -> None:
    squares = torch.randint(0, 256, (5, 3, 150, 150), dtype=torch.uint8)
    patients = encode([{"sex": "male"}, {"sex": "male"}, {}, {"age_approx": 60}, {}])
    alone = out_of_fold_logits(networks, squares, FOLDS, 4, lambda *_: None)
    both = logits_with_and_without_metadata(networks, alone, patients, FOLDS)["k"]
    assert both.shape == (8, 10, 7)
    assert torch.equal(both[:, 5:], alone["k"])
    added = both[:, :5] - both[:, 5:]
    assert not added[:, [2, 4]].any()
    for row, fold in ((0, 0), (1, 1), (3, 1)):
        expected = networks[fold].metadata_logits(patients[row : row + 1]).double()
        torch.testing.assert_close(added[:, row], expected.expand(8, 7), atol=1e-6, rtol=0)
    # The same sex is worth something else to a network that saw other lesions.
    assert (added[0, 0] - added[0, 1]).abs().max() > 1e-3


def _members(architecture: str, size: int, kind: str) -> list[Member]:
    return [
        Member(
            name=f"{kind}_{fold}", kind=kind, fold=fold, architecture=architecture,
            file=f"{kind}_{fold}", sha256="0" * 64, input_size=size,
            mean=(0.5,) * 3, std=(0.2,) * 3, views=1, weight=0.1, temperature=1, bias=(0.0,) * 7,
        )
        for fold in range(3)
    ]  # fmt: skip


def test_views_are_those_that_the_budget_leaves() -> None:
    large, small = _members("mobilenet_v2", 224, "large"), _members("mobilenet_v2", 128, "small")
    # A view of the large ones costs 0.9 GMAC, one of the small ones 0.3.
    assert affordable_views(large + small) == {"large": 3, "small": 7}
    with pytest.raises(TooCostly):
        affordable_views(_members("mobilenet_v2", 416, "huge"))


def test_the_views_that_say_most_are_chosen() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 7, (300,), generator=generator)
    told = 3.0 * torch.nn.functional.one_hot(truth, 7).double()
    noise = torch.randn(8, 300, 7, generator=generator).double()
    prior = torch.full((7,), 1 / 7).double().log()
    members = _members("mobilenet_v2", 128, "small")
    # Every view of the first kind errs in its own way; those of the second are all alike.
    nobody = torch.zeros(300, 2)
    apart = choose_views({"small": told + 2 * noise}, nobody, members, truth, prior)
    same = (told + 2 * noise[:1]).expand(8, 300, 7)
    alike = choose_views({"small": same}, nobody, members, truth, prior)
    assert apart.views["small"] >= 6
    assert apart.loss < alike.loss - 0.05

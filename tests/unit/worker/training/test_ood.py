"""The judge of scope is fitted on lesions and tells them from what they are not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dermtriage_worker.ensemble.device import choose_compute
from dermtriage_worker.ensemble.image.quality import measure_quality
from dermtriage_worker.ensemble.image.views import Views
from dermtriage_worker.ensemble.manifest import Member
from dermtriage_worker.ensemble.metadata import encode
from dermtriage_worker.ensemble.networks.members import create_network
from dermtriage_worker.ensemble.networks.network import Network
from dermtriage_worker.ensemble.ood import Scope
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.squares import load_squares
from dermtriage_worker.training import ood as fitting
from dermtriage_worker.training.plain_skin import MASK_FOLDER, plain_skin


@pytest.fixture(scope="module")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Labelled]]:
    """Drawn lesions on skin, half of them with a mask."""
    data = tmp_path_factory.mktemp("lesions")
    (data / MASK_FOLDER).mkdir()
    generator = np.random.default_rng(0)
    down, across = np.mgrid[:150, :200]
    records = []
    for index in range(40):
        middle, reach = generator.uniform((60, 80), (90, 120)), generator.uniform(18, 35)
        inside = np.hypot(down - middle[0], across - middle[1]) < reach
        skin = np.array([210, 165, 145]) + generator.normal(0, 8, 3)
        mole = skin * generator.uniform(0.3, 0.6)
        noise = generator.normal(0, 4, (150, 200, 3))
        pixels = np.where(inside[..., None], mole, skin) + noise
        path = data / f"L{index:02}.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
        if index % 2:
            mask = Image.fromarray((inside * 255).astype(np.uint8))
            mask.save(data / MASK_FOLDER / f"L{index:02}_segmentation.png")
        records.append(Labelled(path.stem, path, "nv", path.stem))
    return data, records


def network(fold: int) -> tuple[Member, Network]:
    member = Member(
        name=f"small_{fold}", kind="small", fold=fold, architecture="lesionnet_tiny",
        file="small.safetensors", sha256="0" * 64, input_size=64,
        mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), views=1, weight=1, temperature=1,
        bias=(0.0,) * 7,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold)
        state = create_network(member.architecture, 7).state_dict()
    return member, Network(member, state, choose_compute("cpu"))


def test_plain_skin_holds_no_lesion(lesions: tuple[Path, list[Labelled]]) -> None:
    data, records = lesions
    for chosen in (records[::2], records[1::2]):
        cut = plain_skin(chosen, data, count=4, seed=1)
        assert cut.shape == (4, 3, 150, 150)
        assert all(figures["lesion_contrast"] < 0.2 for figures in measure_quality(list(cut)))
    again = plain_skin(records, data, count=4, seed=1)
    assert torch.equal(again, plain_skin(records, data, count=4, seed=1))
    assert len(plain_skin([], data, count=4, seed=1)) == 0


def test_a_fitted_judge_tells_lesions_from_the_rest(
    lesions: tuple[Path, list[Labelled]], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, records = lesions
    for name, count in (("FIT", 30), ("CHECK", 20), ("SKIN", 12)):
        monkeypatch.setattr(fitting, f"{name}_PHOTOGRAPHS", count)
    monkeypatch.setattr(fitting, "DIRECTIONS", 12)
    few = {name: fitting.HARDSHIPS[name] for name in ("none", "wide")}
    monkeypatch.setattr(fitting, "HARDSHIPS", few)
    members = [network(0), network(1)]
    folds = [index % 2 for index in range(len(records))]

    fitted = fitting.fit_scope(members, records, folds, data=data, seed=5)

    assert fitted is not None
    tensors, threshold = fitted
    scope = Scope.load(tensors)
    assert {name.partition("/")[0] for name in tensors} == {"small_0", "small_1"}

    def judge(squares: torch.Tensor) -> np.ndarray:
        figures = measure_quality(list(squares))
        with torch.inference_mode():
            taps = {
                member.name: net.tapped(Views(squares), encode([{}] * len(squares)))[1]
                for member, net in members
            }
        return np.array(scope.out_of_scope(taps, figures))

    strange = torch.zeros(3, 3, 150, 150, dtype=torch.uint8)
    strange[1] = torch.tensor([30, 200, 60], dtype=torch.uint8).view(3, 1, 1)
    strange[2, :, ::8] = 255
    assert (judge(load_squares(records)) <= threshold).mean() > 0.95
    assert (judge(strange) > threshold).all()


def test_what_cannot_be_tapped_is_not_judged(lesions: tuple[Path, list[Labelled]]) -> None:
    data, records = lesions
    member, net = network(0)
    other = member.model_copy(update={"architecture": "lesionnet"})
    assert fitting.fit_scope([(other, net)], records, [0] * len(records), data=data, seed=1) is None

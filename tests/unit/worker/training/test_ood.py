"""The out-of-distribution detector is fitted on lesions and flags what shows none."""

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
from dermtriage_worker.ensemble.networks.registry import create_network
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork
from dermtriage_worker.ensemble.ood import OodDetector
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.prepared import prepare_labelled
from dermtriage_worker.training.distortions import CONDITIONS
from dermtriage_worker.training.ood import OodFitOptions, fit_ood_detector
from dermtriage_worker.training.skin_patches import MASK_FOLDER, cut_skin_patches


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


def network(fold: int) -> tuple[Member, ScoringNetwork]:
    member = Member(
        name=f"small_{fold}", kind="small", fold=fold, architecture="lesionnet_tiny",
        file="small.safetensors", sha256="0" * 64, input_size=64,
        mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), views=1, weight=1, temperature=1,
        bias=(0.0,) * 7,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold)
        state = create_network(member.architecture, 7).state_dict()
    return member, ScoringNetwork(member, state, choose_compute("cpu"))


def test_plain_skin_holds_no_lesion(lesions: tuple[Path, list[Labelled]]) -> None:
    data, records = lesions
    for chosen in (records[::2], records[1::2]):
        cut = cut_skin_patches(chosen, data, count=4, seed=1)
        assert cut.shape == (4, 3, 150, 150)
        assert all(figures["lesion_contrast"] < 0.2 for figures in measure_quality(list(cut)))
    again = cut_skin_patches(records, data, count=4, seed=1)
    assert torch.equal(again, cut_skin_patches(records, data, count=4, seed=1))
    assert len(cut_skin_patches([], data, count=4, seed=1)) == 0


def test_a_fitted_detector_separates_lesions_from_the_rest(
    lesions: tuple[Path, list[Labelled]],
) -> None:
    data, records = lesions
    members = [network(0), network(1)]
    folds = [index % 2 for index in range(len(records))]
    few = OodFitOptions(
        lesions=30,
        unseen=20,
        skin=12,
        directions=12,
        conditions={name: CONDITIONS[name] for name in ("none", "wide")},
    )

    fitted = fit_ood_detector(members, records, folds, data=data, seed=5, options=few)

    assert fitted is not None
    tensors, threshold = fitted
    detector = OodDetector.from_tensors(tensors)
    assert {name.partition("/")[0] for name in tensors} == {"small_0", "small_1"}

    def scores(squares: torch.Tensor) -> np.ndarray:
        quality = measure_quality(list(squares))
        with torch.inference_mode():
            features = {
                member.name: net.logits_and_features(Views(squares), encode([{}] * len(squares)))[1]
                for member, net in members
            }
        return np.array(detector.scores(features, quality))

    strange = torch.zeros(3, 3, 150, 150, dtype=torch.uint8)
    strange[1] = torch.tensor([30, 200, 60], dtype=torch.uint8).view(3, 1, 1)
    strange[2, :, ::8] = 255
    assert (scores(prepare_labelled(records)) <= threshold).mean() > 0.95
    assert (scores(strange) > threshold).all()


def test_an_architecture_without_taps_has_no_detector(lesions: tuple[Path, list[Labelled]]) -> None:
    data, records = lesions
    member, net = network(0)
    other = member.model_copy(update={"architecture": "lesionnet"})
    folds = [0] * len(records)
    assert fit_ood_detector([(other, net)], records, folds, data=data, seed=1) is None

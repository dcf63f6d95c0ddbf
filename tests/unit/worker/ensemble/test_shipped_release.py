"""The release that is shipped: whole, light, and able to score."""

import re

import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from dermtriage.core.settings import ROOT, Settings
from dermtriage_worker.ensemble.cpu.fused_convolution import can_fuse
from dermtriage_worker.ensemble.device import Compute
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest_file import read_manifest
from dermtriage_worker.ensemble.networks.scoring_network import load_network

FOLDER = Settings().releases_dir / Settings().default_release


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return Ensemble.load(FOLDER, "cpu")


def _lesion(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), (222, 172, 150))
    side = min(width, height)
    box = [width / 2 - side / 5, height / 2 - side / 6, width / 2 + side / 5, height / 2 + side / 6]
    ImageDraw.Draw(image).ellipse(box, fill=(96, 58, 46))
    return image.filter(ImageFilter.GaussianBlur(side / 60))


def test_scores_the_same_scene_alike_at_any_resolution(ensemble: Ensemble) -> None:
    photographs = [_lesion(600, 450), _lesion(1024, 768), _lesion(768, 1024)]
    predictions = ensemble.predict([ensemble.prepare(image) for image in photographs])
    for prediction in predictions:
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-6)
        assert prediction.p_severe == pytest.approx(predictions[0].p_severe, abs=0.05)


def test_neighbours_do_not_matter(ensemble: Ensemble) -> None:
    squares = [ensemble.prepare(_lesion(600 + 10 * i, 450)) for i in range(3)]
    together = ensemble.predict(squares)
    for square, prediction in zip(squares, together, strict=True):
        assert ensemble.predict([square])[0].p_severe == pytest.approx(
            prediction.p_severe, abs=1e-3
        )


def test_half_precision_hardly_moves_the_figures(ensemble: Ensemble) -> None:
    squares = [ensemble.prepare(_lesion(450 + 60 * i, 450)) for i in range(4)]
    for dtype in (torch.float32, torch.bfloat16):
        cpu = torch.device("cpu")
        compute = Compute(cpu, dtype, pass_size=1, fused=can_fuse(cpu, dtype))
        networks = [
            load_network(FOLDER, member, ensemble.manifest.name, compute)
            for member in ensemble.manifest.members
        ]
        for one, other in zip(
            Ensemble(ensemble.manifest, networks, compute).predict(squares),
            ensemble.predict(squares),
            strict=True,
        ):
            assert one.p_severe == pytest.approx(other.p_severe, abs=0.01)


def test_keeps_its_promises() -> None:
    manifest = read_manifest(FOLDER)
    assert manifest.name == FOLDER.name
    # Also with calibration and thresholds that were set on other lesions.
    assert manifest.figures["auc_crossfitted"].value >= 0.93
    assert manifest.figures["specificity_upper"].value >= 0.9
    # The severe lane is a lane of cases, so its figures are by lesion.
    assert manifest.figures["sensitivity_upper_by_lesion_crossfitted"].low >= 0.8
    assert manifest.figures["specificity_upper_by_lesion_crossfitted"].value >= 0.9
    assert manifest.figures["severe_called_low_crossfitted"].value <= 0.025
    assert manifest.figures["benign_called_low_crossfitted"].value >= 0.5
    assert manifest.gmac <= 3
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 30e6


def test_every_kind_earns_its_weight_and_has_a_member_a_fold() -> None:
    manifest = read_manifest(FOLDER)
    kinds = {member.kind for member in manifest.members}
    assert "lesionnet" in kinds
    for kind in kinds:
        alike = [member for member in manifest.members if member.kind == kind]
        assert sum(member.weight for member in alike) >= 0.1
        assert sorted(member.fold for member in alike if member.fold is not None) == [0, 1, 2]


def test_the_model_card_is_of_this_release() -> None:
    card = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    manifest = read_manifest(FOLDER)
    assert f"# Model card: release {manifest.name}" in card
    for name, figure in manifest.figures.items():
        assert f"| `{name}` | {figure.value:.3f} |" in card
    for plot in re.findall(r'src="([^"]+)"', card):
        assert (ROOT / "docs" / plot).is_file()

"""The release that is shipped: whole, light, and able to score."""

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from dermtriage.settings import Settings
from dermtriage_worker.ensemble.device import Compute
from dermtriage_worker.ensemble.ensemble import Ensemble, load_member
from dermtriage_worker.ensemble.manifest import read_manifest

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
        compute = Compute(torch.device("cpu"), dtype, chunk=1)
        networks = [
            load_member(FOLDER, member, ensemble.manifest, compute)
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
    assert manifest.figures["auc"].value >= 0.88
    assert manifest.gmac <= 3
    assert sum(_size(FOLDER / member.file) for member in manifest.members) < 12e6
    assert len(manifest.members) >= 2


def _size(path: Path) -> int:
    return path.stat().st_size

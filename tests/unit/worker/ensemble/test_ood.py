"""Out-of-distribution detection, on features whose distance is known."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from dermtriage.core.errors import ReleaseInvalid
from dermtriage_worker.ensemble.image.views import Views
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest import Manifest
from dermtriage_worker.ensemble.manifest_file import read_manifest, write_manifest
from dermtriage_worker.ensemble.metadata import encode
from dermtriage_worker.ensemble.ood import LesionDistribution, OodDetector, add_contrast
from dermtriage_worker.ensemble.packing import pack_tensors
from dermtriage_worker.ensemble.tiny import build_tiny_release

QUALITY = {"lesion_contrast": 0.5, "contrast": 0.1}
FILE = "ood.safetensors"


def distribution(size: int) -> LesionDistribution:
    """Lesions around the origin, with twice the deviation along the first feature."""
    basis = torch.zeros(size, 1)
    basis[0, 0] = 1
    plain = torch.zeros(size)
    plain[1] = 1
    return LesionDistribution(
        centre=torch.zeros(size),
        spread=torch.ones(size),
        basis=basis,
        variances=torch.tensor([4.0]),
        rest=torch.tensor(1.0),
        plain=plain,
        offsets=torch.tensor([1.5, 6.0]),
        scales=torch.tensor([0.5, 1.0]),
    )


def test_distance_is_mahalanobis_distance() -> None:
    point = torch.tensor([[3.0, 0.0, 4.0]])
    (distance, plain) = distribution(3).raw_scores(point)[0].tolist()
    assert distance == pytest.approx(0.5 * torch.tensor(9 / 4 + 16.0).log().item())
    assert plain == 0


def test_the_greater_score_counts() -> None:
    near, far, skin = torch.tensor([[0.1, 0, 0], [0, 0, 30.0], [0, 7.9, 0]]).split(1)
    score = distribution(3).score
    assert score(near) < 0
    assert score(far) > 0
    assert score(skin) == pytest.approx(7.9 - 6, abs=1e-5)
    assert score(far) == pytest.approx((torch.tensor(30.0).log().item() - 1.5) / 0.5, rel=1e-5)


def test_scores_are_averaged_over_the_given_members() -> None:
    features = torch.zeros(2, 1)
    plain = distribution(3)
    detector = OodDetector({"a": plain, "b": replace(plain, offsets=torch.tensor([-9.0, -9.0]))})
    quality = [QUALITY, QUALITY]
    (alone, _) = detector.scores({"a": features}, quality) or ()
    (both, _) = detector.scores({"a": features, "b": features, "c": features}, quality) or ()
    assert 0 <= alone < both <= 1
    assert detector.scores({"c": features}, quality) is None


def test_written_tensors_are_read_back() -> None:
    detector = OodDetector({"a": distribution(4), "b": distribution(5)})
    features = {"a": torch.randn(3, 2), "b": torch.randn(3, 3)}
    again = OodDetector.from_tensors(detector.tensors())
    quality = [QUALITY] * 3
    assert again.scores(features, quality) == pytest.approx(detector.scores(features, quality))
    with pytest.raises(KeyError):
        OodDetector.from_tensors({"a/centre": torch.zeros(4)})


def test_zero_contrast_is_finite_and_below_a_faint_one() -> None:
    faint, flat = add_contrast(
        torch.zeros(2, 0), [QUALITY, {"lesion_contrast": 0.0, "contrast": 0.0}]
    )
    assert (faint > flat).all()
    assert flat.isfinite().all()


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A tiny release whose detector is centred on the features of one photograph."""
    folder = tmp_path / "with_detector"
    manifest = build_tiny_release(folder)
    ensemble = Ensemble.load(folder, "cpu")
    distributions = {}
    for network in ensemble.networks:
        _, features = network.logits_and_features(Views(square()[None]), encode([{}]))
        centre = torch.cat([features[0], torch.zeros(2)])
        distributions[network.member.name] = replace(distribution(len(centre)), centre=centre)
    write_detector(folder, manifest, OodDetector(distributions).tensors())
    return folder


def write_detector(folder: Path, manifest: Manifest, tensors: dict[str, Tensor]) -> None:
    reference = pack_tensors(folder, FILE, tensors)
    write_manifest(folder, manifest.model_copy(update={"ood": reference}))


def square(colour: tuple[int, int, int] = (90, 60, 50)) -> Tensor:
    image = Image.new("RGB", (150, 150), (210, 170, 150))
    ImageDraw.Draw(image).ellipse((40, 40, 110, 110), fill=colour)
    return torch.tensor(list(image.tobytes()), dtype=torch.uint8).view(150, 150, 3).permute(2, 0, 1)


def test_a_release_scores_what_is_unlike_lesions_higher(release: Path) -> None:
    ensemble = Ensemble.load(release, "cpu")
    like, unlike = ensemble.predict([square(), torch.zeros(3, 150, 150, dtype=torch.uint8)])
    assert like.out_of_scope is not None
    assert unlike.out_of_scope is not None
    assert like.out_of_scope < 0.5 < unlike.out_of_scope
    # Neighbours in a batch change nothing.
    (alone,) = ensemble.predict([square()])
    assert alone.out_of_scope == pytest.approx(like.out_of_scope, abs=1e-5)


def test_a_release_without_a_detector_scores_nothing(tiny: Ensemble) -> None:
    (prediction,) = tiny.predict([square()])
    assert prediction.out_of_scope is None


def test_an_altered_or_foreign_detector_is_refused(release: Path) -> None:
    path = release / FILE
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ReleaseInvalid, match="altered"):
        Ensemble.load(release, "cpu")
    write_detector(release, read_manifest(release), {"a/centre": torch.zeros(3)})
    with pytest.raises(ReleaseInvalid, match="does not hold an out-of-distribution detector"):
        Ensemble.load(release, "cpu")

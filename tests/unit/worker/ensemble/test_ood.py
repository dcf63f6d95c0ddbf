"""The judge of scope, on features whose place is known."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save
from torch import Tensor

from dermtriage.core.errors import ReleaseInvalid
from dermtriage_worker.ensemble.image.views import Views
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest import FileRef, Manifest, read_manifest, write_manifest
from dermtriage_worker.ensemble.metadata import encode
from dermtriage_worker.ensemble.ood import NEUTRAL, Judge, Scope, join
from dermtriage_worker.ensemble.tiny import build_tiny_release

FIGURES = {"lesion_contrast": 0.5, "contrast": 0.1}


def judge(size: int) -> Judge:
    """A judge to whom lesions lie around nought, twice as widely in one direction."""
    basis = torch.zeros(size, 1)
    basis[0, 0] = 1
    plain = torch.zeros(size)
    plain[1] = 1
    return Judge(
        centre=torch.zeros(size),
        spread=torch.ones(size),
        basis=basis,
        variances=torch.tensor([4.0]),
        rest=torch.tensor(1.0),
        plain=plain,
        offsets=torch.tensor([1.5, 6.0]),
        scales=torch.tensor([0.5, 1.0]),
    )


def test_distance_is_that_of_mahalanobis() -> None:
    point = torch.tensor([[3.0, 0.0, 4.0]])
    (distance, plain) = judge(3).parts(point)[0].tolist()
    assert distance == pytest.approx(0.5 * torch.tensor(9 / 4 + 16.0).log().item())
    assert plain == 0


def test_the_farther_part_decides() -> None:
    near, far, skin = torch.tensor([[0.1, 0, 0], [0, 0, 30.0], [0, 7.9, 0]]).split(1)
    of = judge(3).evidence
    assert of(near) < 0
    assert of(far) > 0
    assert of(skin) == pytest.approx(7.9 - 6, abs=1e-5)
    assert of(far) == pytest.approx((torch.tensor(30.0).log().item() - 1.5) / 0.5, rel=1e-5)


def test_members_are_averaged_and_only_those_that_are_asked() -> None:
    taps = torch.zeros(2, 1)
    plain = judge(3)
    scope = Scope({"a": plain, "b": replace(plain, offsets=torch.tensor([-9.0, -9.0]))})
    (alone, _) = scope.out_of_scope({"a": taps}, [FIGURES, FIGURES]) or ()
    (both, _) = scope.out_of_scope({"a": taps, "b": taps, "c": taps}, [FIGURES, FIGURES]) or ()
    assert 0 <= alone < both <= 1
    assert scope.out_of_scope({"c": taps}, [FIGURES, FIGURES]) is None


def test_it_survives_its_file() -> None:
    scope = Scope({"a": judge(4), "b": judge(5)})
    taps = {"a": torch.randn(3, 2), "b": torch.randn(3, 3)}
    again = Scope.load(scope.tensors())
    figures = [FIGURES] * 3
    assert again.out_of_scope(taps, figures) == pytest.approx(scope.out_of_scope(taps, figures))
    with pytest.raises(KeyError):
        Scope.load({"a/centre": torch.zeros(4)})


def test_little_contrast_is_told_apart() -> None:
    faint, flat = join(torch.zeros(2, 0), [FIGURES, {"lesion_contrast": 0.0, "contrast": 0.0}])
    assert (faint > flat).all()
    assert flat.isfinite().all()


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """A tiny release whose members judge: what they see of one photograph is far out for them."""
    folder = tmp_path / "judged"
    manifest = build_tiny_release(folder)
    ensemble = Ensemble.load(folder, "cpu")
    judges = {}
    for network in ensemble.networks:
        _, tap = network.tapped(Views(square()[None]), encode([{}]))
        size = tap.shape[1] + 2
        seen = torch.cat([tap[0], torch.zeros(2)])
        judges[network.member.name] = replace(judge(size), centre=seen)
    write_scope(folder, manifest, Scope(judges).tensors())
    return folder


def write_scope(folder: Path, manifest: Manifest, tensors: dict[str, Tensor]) -> None:
    import hashlib

    content = save(tensors)
    (folder / "scope.safetensors").write_bytes(content)
    ref = FileRef(file="scope.safetensors", sha256=hashlib.sha256(content).hexdigest())
    write_manifest(folder, manifest.model_copy(update={"scope": ref}))


def square(colour: tuple[int, int, int] = (90, 60, 50)) -> Tensor:
    image = Image.new("RGB", (150, 150), (210, 170, 150))
    ImageDraw.Draw(image).ellipse((40, 40, 110, 110), fill=colour)
    return torch.tensor(list(image.tobytes()), dtype=torch.uint8).view(150, 150, 3).permute(2, 0, 1)


def test_a_release_judges_by_its_members(judged: Path) -> None:
    ensemble = Ensemble.load(judged, "cpu")
    like, unlike = ensemble.predict([square(), torch.zeros(3, 150, 150, dtype=torch.uint8)])
    assert like.out_of_scope is not None
    assert unlike.out_of_scope is not None
    assert like.out_of_scope < NEUTRAL < unlike.out_of_scope
    # Neighbours in a batch change nothing.
    (alone,) = ensemble.predict([square()])
    assert alone.out_of_scope == pytest.approx(like.out_of_scope, abs=1e-5)


def test_a_release_without_a_judge_judges_nothing(tiny: Ensemble) -> None:
    (said,) = tiny.predict([square()])
    assert said.out_of_scope is None


def test_an_altered_or_foreign_judge_is_refused(judged: Path) -> None:
    path = judged / "scope.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ReleaseInvalid, match="altered"):
        Ensemble.load(judged, "cpu")
    write_scope(judged, read_manifest(judged), {"a/centre": torch.zeros(3)})
    with pytest.raises(ReleaseInvalid, match="no judge of scope"):
        Ensemble.load(judged, "cpu")

"""Loading a release and scoring with it."""

import json
import shutil
from dataclasses import astuple, replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load
from torch import Tensor

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES
from dermtriage.core.errors import ConfigurationError, ReleaseInvalid
from dermtriage_worker.ensemble.device import DeviceOutOfMemory, choose_compute, single_threaded
from dermtriage_worker.ensemble.image.views import dihedral_view
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest_file import MANIFEST_NAME
from dermtriage_worker.ensemble.metadata import WIDTH
from dermtriage_worker.ensemble.packing import pack_tensors
from dermtriage_worker.ensemble.tiny import build_tiny_release

SIZE = 150


def _squares(count: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randint(0, 256, (3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
        for _ in range(count)
    ]


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


def test_prediction_is_whole_and_consistent(tiny: Ensemble) -> None:
    for prediction in tiny.predict(_squares(3)):
        assert tuple(prediction.probabilities) == CLASSES
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-6)
        assert prediction.p_severe == pytest.approx(
            sum(prediction.probabilities[name] for name in SEVERE_CLASSES), abs=1e-6
        )
        assert set(prediction.members) == {"tiny_a", "tiny_b"}
        assert all(len(logits) == len(CLASSES) for logits in prediction.members.values())
        own = prediction.member_p_severe.values()
        assert prediction.disagreement == pytest.approx(max(own) - min(own))
        assert 0 <= prediction.disagreement <= 1
        assert prediction.out_of_scope is None


def test_order_is_kept_and_neighbours_do_not_matter(tiny: Ensemble) -> None:
    squares = _squares(5)
    together = tiny.predict(squares)
    assert len({prediction.p_severe for prediction in together}) == 5
    for square, prediction in zip(squares, together, strict=True):
        (alone,) = tiny.predict([square])
        assert alone.p_severe == pytest.approx(prediction.p_severe, abs=1e-3)
        for name in prediction.members:
            assert alone.members[name] == pytest.approx(prediction.members[name], abs=1e-3)


def test_padded_passes_give_the_same_figures(tiny_folder: Path) -> None:
    compute = choose_compute("cpu")
    one = Ensemble.load(tiny_folder, "cpu")
    padded = Ensemble(one.manifest, one.networks, replace(compute, pass_size=4))
    squares = _squares(6)
    for a, b in zip(one.predict(squares), padded.predict(squares), strict=True):
        assert a.p_severe == pytest.approx(b.p_severe, abs=1e-3)


def test_same_input_gives_the_same_figures(tiny: Ensemble) -> None:
    assert [astuple(p) for p in tiny.predict(_squares(2))] == [
        astuple(p) for p in tiny.predict(_squares(2))
    ]


def test_lying_otherwise_changes_nothing(tiny: Ensemble) -> None:
    (square,) = _squares(1)
    upright = tiny.predict([square])[0]
    for index in range(1, 8):
        turned = tiny.predict([dihedral_view(square, index).contiguous()])[0]
        # The first member looks at all eight views; the second at four, so it may differ.
        assert turned.members["tiny_a"] == pytest.approx(upright.members["tiny_a"], abs=2e-2)


def test_views_are_eight_different_ones() -> None:
    square = torch.arange(9).view(1, 3, 3)
    assert len({tuple(dihedral_view(square, i).flatten().tolist()) for i in range(8)}) == 8
    assert torch.equal(dihedral_view(square, 0), square)


def test_nothing_in_nothing_out(tiny: Ensemble) -> None:
    assert tiny.predict([]) == []


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(3, 149, 150, dtype=torch.uint8), torch.zeros(3, SIZE, SIZE)],
)
def test_other_tensors_are_refused(tiny: Ensemble, wrong: Tensor) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        tiny.predict([wrong])


def test_quality_tells_dark_and_blurred(tiny: Ensemble) -> None:
    (sharp,) = _squares(1)
    flat = torch.full_like(sharp, 12)
    noisy, dark = tiny.predict([sharp, flat])
    assert dark.quality["brightness"] == pytest.approx(12 / 255, abs=1e-3)
    assert dark.quality["sharpness"] == pytest.approx(0, abs=1e-6)
    assert noisy.quality["sharpness"] > 0.1


def test_altered_weights_are_refused(copy: Path) -> None:
    path = copy / "tiny_a.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ReleaseInvalid, match="altered"):
        Ensemble.load(copy, "cpu")


def test_missing_file_is_refused(copy: Path) -> None:
    (copy / "tiny_b.safetensors").unlink()
    with pytest.raises(ReleaseInvalid, match=r"tiny_b\.safetensors"):
        Ensemble.load(copy, "cpu")


def test_unknown_file_is_refused(copy: Path) -> None:
    (copy / "extra.bin").write_bytes(b"")
    with pytest.raises(ReleaseInvalid, match=r"extra\.bin"):
        Ensemble.load(copy, "cpu")


def test_weights_that_are_nan_are_refused(copy: Path) -> None:
    """Fused activations would clamp NaN into a valid score."""
    state = load((copy / "tiny_a.safetensors").read_bytes())
    next(weight for weight in state.values() if weight.ndim == 4)[0, 0, 0, 0] = torch.nan
    reference = pack_tensors(copy, "tiny_a.safetensors", state)
    path = copy / MANIFEST_NAME
    content = json.loads(path.read_text())
    (member,) = (one for one in content["members"] if one["file"] == reference.file)
    member["sha256"] = reference.sha256
    path.write_text(json.dumps(content))
    with pytest.raises(ReleaseInvalid, match="NaN or infinite"):
        Ensemble.load(copy, "cpu")


@pytest.mark.parametrize(
    ("architecture", "message"), [("lesionnet", "does not fit"), ("resnet", "unknown architecture")]
)
def test_other_architecture_is_refused(copy: Path, architecture: str, message: str) -> None:
    path = copy / MANIFEST_NAME
    content = json.loads(path.read_text())
    content["members"][0]["architecture"] = architecture
    path.write_text(json.dumps(content))
    with pytest.raises(ReleaseInvalid, match=message):
        Ensemble.load(copy, "cpu")


@pytest.mark.parametrize("name", ["nonsense", "cuda:99", "meta"])
def test_unknown_device_is_refused(tiny_folder: Path, name: str) -> None:
    with pytest.raises(ConfigurationError):
        Ensemble.load(tiny_folder, name)


def test_small_work_wakes_no_other_thread() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with single_threaded():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_metadata_moves_the_score_of_its_own_photograph_and_is_kept(tiny: Ensemble) -> None:
    squares = _squares(2)
    known = {"sex": "female", "age_approx": 70, "history": "none"}
    first, second = tiny.predict(squares, [known, {}])
    alone = tiny.predict(squares)
    assert first.inputs == {"sex": "female", "age_approx": 70}
    assert abs(first.p_severe - alone[0].p_severe) > 1e-4
    assert (second.p_severe, second.inputs) == (alone[1].p_severe, {})


def test_metadata_moves_the_score_where_no_network_reads_it(copy: Path) -> None:
    path = copy / MANIFEST_NAME
    content = json.loads(path.read_text())
    squares, known = _squares(2), {"sex": "male", "age_approx": 70}
    unmoved = Ensemble.load(copy, "cpu").predict(squares, [known, {}])
    content["calibration"]["patient"] = [[0.0] * 6 + [1.0]] * WIDTH
    path.write_text(json.dumps(content))
    first, second = Ensemble.load(copy, "cpu").predict(squares, [known, {}])
    assert first.probabilities[CLASSES[6]] > unmoved[0].probabilities[CLASSES[6]]
    assert first.inputs == known
    assert (second.p_severe, second.inputs) == (unmoved[1].p_severe, {})


def test_metadata_of_another_version_is_refused(copy: Path) -> None:
    path = copy / MANIFEST_NAME
    content = json.loads(path.read_text())
    content["calibration"]["patient"] = [[0.0] * 7] * (WIDTH + 1)
    path.write_text(json.dumps(content))
    with pytest.raises(ReleaseInvalid, match="metadata"):
        Ensemble.load(copy, "cpu")


def test_out_of_memory_names_the_number_of_photographs(tiny: Ensemble) -> None:
    def exhausted(squares: Tensor, patients: Tensor) -> tuple[Tensor, ...]:
        raise torch.OutOfMemoryError("out of memory")

    ensemble = Ensemble(tiny.manifest, tiny.networks, choose_compute("cpu"), forward_pass=exhausted)
    with pytest.raises(DeviceOutOfMemory, match="2 photographs"):
        ensemble.predict(_squares(2))


def test_tiny_releases_repeat(tmp_path: Path) -> None:
    first, again = (
        build_tiny_release(tmp_path / "a" / "r"),
        build_tiny_release(tmp_path / "b" / "r"),
    )
    other = build_tiny_release(tmp_path / "c" / "r", seed=1)
    assert first == again
    assert first.members[0].sha256 != other.members[0].sha256


def test_prepare_follows_the_manifest(tiny: Ensemble) -> None:
    assert tiny.prepare(Image.new("RGB", (640, 480))).shape == (3, SIZE, SIZE)

"""From a finished run to a release that loads, with figures of lesions that nothing saw."""

from pathlib import Path

import pytest
from PIL import Image

from dermtriage_worker.ensemble.ensemble import Ensemble
from dermtriage_worker.ensemble.manifest import Manifest, read_manifest
from dermtriage_worker.training.config import TrainConfig
from dermtriage_worker.training.cost import gmac
from dermtriage_worker.training.data import load_squares, read_records
from dermtriage_worker.training.release import ReleaseNotBuilt, build_release
from dermtriage_worker.training.train import train


def _ignore(_: object) -> None:
    pass


@pytest.fixture(scope="module")
def built(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    config = TrainConfig.model_validate(
        {
            "seed": 5,
            "heldout_share": 0.25,
            "calibration_share": 0.3,
            "precision": "fp32",
            "threads": 1,
            "members": [
                {
                    "name": name,
                    "architecture": "lesionnet_tiny",
                    "pretrained": False,
                    "input_size": 32,
                    "epochs": epochs,
                    "batch_size": 8,
                    "learning_rate": 5e-3,
                }
                for name, epochs in (("small", 6), ("other", 4))
            ],
            "augment": {"tone": 0.05, "channel_gain": 0.05, "vignette_share": 0.1},
        }
    )
    run = tmp_path_factory.mktemp("run")
    train(data, run, config, None, _ignore)
    folder = tmp_path_factory.mktemp("releases") / "first"
    return folder, build_release(data, run, folder, _ignore)


def test_release_loads_and_tells_light_from_dark(built: tuple[Path, Manifest]) -> None:
    folder, manifest = built
    assert read_manifest(folder) == manifest
    ensemble = Ensemble.load(folder, "cpu")
    dark, bright = ensemble.predict(
        [ensemble.prepare(Image.new("RGB", (600, 450), (level,) * 3)) for level in (60, 190)]
    )
    assert dark.p_severe > bright.p_severe


def test_manifest_says_what_it_was_made_of(built: tuple[Path, Manifest]) -> None:
    _, manifest = built
    assert sum(manifest.training.lesions.values()) == 48
    assert sum(manifest.training.photographs.values()) == 64
    assert manifest.training.epochs == {"small": 6, "other": 4}
    assert manifest.figures["auc"].value > 0.8
    assert {"auc_small", "auc_other", "sensitivity_lower"} <= set(manifest.figures)
    views = {member.name: member.views for member in manifest.members}
    assert set(views.values()) <= {4, 8}
    expected = sum(count * gmac("lesionnet_tiny", 32) for count in views.values())
    assert manifest.gmac == pytest.approx(expected, abs=1e-3)


def test_evaluation_and_serving_prepare_the_same_bytes(
    built: tuple[Path, Manifest], data: Path
) -> None:
    ensemble = Ensemble.load(built[0], "cpu")
    records = read_records(data)[:4]
    evaluated = load_squares(records)
    for record, square in zip(records, evaluated, strict=True):
        with Image.open(record.path) as image:
            assert ensemble.prepare(image).equal(square)


def test_unfinished_run_and_full_folder_are_refused(
    built: tuple[Path, Manifest], data: Path, tmp_path: Path, config: TrainConfig
) -> None:
    with pytest.raises(ReleaseNotBuilt, match="no training run"):
        build_release(data, tmp_path, tmp_path / "out", _ignore)
    train(data, tmp_path / "run", config, None, _ignore, only=["other"])
    with pytest.raises(ReleaseNotBuilt, match="small is not trained"):
        build_release(data, tmp_path / "run", tmp_path / "out", _ignore)
    with pytest.raises(ReleaseNotBuilt, match="not empty"):
        build_release(data, tmp_path / "run", built[0], _ignore)


def test_cost_of_a_known_network() -> None:
    # Published: about 0.3 GMAC for MobileNetV2 at 224 pixels with 1000 classes.
    assert gmac("mobilenet_v2", 224) == pytest.approx(0.3, abs=0.01)

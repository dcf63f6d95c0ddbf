"""From a finished run to a release that loads, with figures of lesions that nothing saw."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from dermtriage.core.errors import ReleaseInvalid
from dermtriage_worker.ensemble.image.photograph import decode_original
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest import Manifest
from dermtriage_worker.ensemble.manifest_file import read_manifest
from dermtriage_worker.evaluation.prepared import prepare_labelled
from dermtriage_worker.training.config import TrainConfig
from dermtriage_worker.training.cost import gmac
from dermtriage_worker.training.data import assign_folds, origin, read_records
from dermtriage_worker.training.release import build_release
from dermtriage_worker.training.run_folder import ReleaseNotBuilt
from dermtriage_worker.training.train import train
from dermtriage_worker.training.training_folds import FOLDS_FILE, TrainingFolds


def _ignore(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def built(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    config = TrainConfig.model_validate(
        {
            "seed": 5,
            "folds": 2,
            "threads": 1,
            "members": [
                {
                    "name": name,
                    "architecture": "lesionnet_tiny",
                    "pretrained": False,
                    "batch_size": 8,
                    "average_decay": 0.5,
                    "phases": [{"epochs": epochs, "input_size": 32, "learning_rate": 5e-3}],
                }
                for name, epochs in (("small", 12), ("other", 8))
            ],
            "augment": {"tone": 0.05, "channel_gain": 0.05, "vignette_share": 0.1},
        }
    )
    run = tmp_path_factory.mktemp("run")
    train(data, run, config, {}, _ignore)
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
    training = manifest.training
    assert (training.lesions, training.photographs, training.folds) == (48, 64, 2)
    assert sum(training.classes.values()) == 64
    assert "HAM10000" in training.dataset
    assert "not for commercial use" in manifest.licence
    assert training.epochs == {"small": 12, "other": 8}
    assert [member.name for member in manifest.members] == [
        "small_0", "small_1", "other_0", "other_1",
    ]  # fmt: skip
    assert manifest.figures["auc"].value > 0.8
    assert {
        "auc_small", "auc_other", "sensitivity_lower", "auc_crossfitted", "auc_photograph_alone",
    } <= set(manifest.figures)  # fmt: skip
    expected = sum(m.views * gmac("lesionnet_tiny", 32) for m in manifest.members)
    assert manifest.gmac == pytest.approx(expected, abs=1e-3)
    for kind in ("small", "other"):
        alike = [m for m in manifest.members if m.kind == kind]
        assert len({(m.weight, m.temperature, m.bias, m.views) for m in alike}) == 1


def test_a_photograph_is_scored_by_what_never_saw_its_lesion(
    built: tuple[Path, Manifest], data: Path
) -> None:
    folder, manifest = built
    training_folds, records = TrainingFolds.of(folder, manifest), read_records(data)
    folds = assign_folds(records, folds=2, seed=5)
    assert [training_folds.fold_of(record.image_id) for record in records] == folds
    assert training_folds.fold_of("IMG_of_another_set") is None
    ensemble = Ensemble.load(folder, "cpu")
    for fold in (0, 1):
        blind = ensemble.out_of_fold(fold)
        assert {m.name for m in blind.manifest.members} == {f"small_{fold}", f"other_{fold}"}
        assert sum(m.weight for m in blind.manifest.members) == pytest.approx(1)
    with pytest.raises(ReleaseInvalid, match="fold 2"):
        ensemble.out_of_fold(2)


def test_another_data_set_is_not_called_by_the_name_of_the_first(tmp_path: Path) -> None:
    assert "HAM10000" not in " ".join(origin(tmp_path))


def test_an_altered_list_of_what_was_seen_is_refused(
    built: tuple[Path, Manifest], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(built[0], copy)
    (copy / FOLDS_FILE).write_bytes((copy / FOLDS_FILE).read_bytes() + b" ")
    with pytest.raises(ReleaseInvalid, match="altered"):
        TrainingFolds.of(copy, built[1])


def test_evaluation_and_serving_prepare_the_same_bytes(
    built: tuple[Path, Manifest], data: Path
) -> None:
    ensemble = Ensemble.load(built[0], "cpu")
    records = read_records(data)[:4]
    evaluated = prepare_labelled(records)
    for record, square in zip(records, evaluated, strict=True):
        served = decode_original(record.path.read_bytes(), ensemble).square
        assert served.equal(square)


def test_unfinished_run_and_full_folder_are_refused(
    built: tuple[Path, Manifest], data: Path, tmp_path: Path, config: TrainConfig
) -> None:
    with pytest.raises(ReleaseNotBuilt, match="no training run"):
        build_release(data, tmp_path, tmp_path / "out", _ignore)
    train(data, tmp_path / "run", config, {}, _ignore, only=["other"])
    with pytest.raises(ReleaseNotBuilt, match="small_0 is not trained"):
        build_release(data, tmp_path / "run", tmp_path / "out", _ignore)
    with pytest.raises(ReleaseNotBuilt, match="not empty"):
        build_release(data, tmp_path / "run", built[0], _ignore)


def test_cost_of_a_known_network() -> None:
    # Published: about 0.3 GMAC for MobileNetV2 at 224 pixels with 1000 classes.
    assert gmac("mobilenet_v2", 224) == pytest.approx(0.3, abs=0.01)

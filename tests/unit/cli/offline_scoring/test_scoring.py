"""Scores without a server are the ensemble's own."""

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from torch import Tensor

from dermtriage.core.enums import CLASSES, Severity
from dermtriage.imaging.rendition import make_rendition, open_rendition
from dermtriage.triage.explanation import explain
from dermtriage.triage.image_severity import Finding, triage_image
from dermtriage.triage.policy import Policy
from dermtriage_cli.demo.samples import generate
from dermtriage_cli.offline_scoring.heat_map import heat_map
from dermtriage_cli.offline_scoring.scoring import COLUMNS, score_photographs
from dermtriage_worker.ensemble.device import DeviceOutOfMemory
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.metadata import Inputs
from dermtriage_worker.ensemble.prediction import Prediction


class SmallDeviceEnsemble(Ensemble):
    """Runs on a device that holds one photograph at a time."""

    def predict(
        self, prepared: Sequence[Tensor], inputs: Sequence[Inputs] | None = None
    ) -> list[Prediction]:
        if len(prepared) > 1:
            raise DeviceOutOfMemory("Full.")
        return super().predict(prepared, inputs)


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    paths = []
    for sample in generate(5, seed=3):
        paths.append(tmp_path / f"{sample.name}.jpg")
        paths[-1].write_bytes(sample.jpeg)
    return paths


def test_scores_are_those_of_the_ensemble_on_the_rendition(
    photographs: list[Path], tiny: Ensemble
) -> None:
    thresholds = tiny.manifest.thresholds
    policy = Policy(**thresholds.model_dump())
    results = list(score_photographs(photographs, tiny, batch=2))
    assert [result.image for result in results] == [path.stem for path in photographs]
    for path, result in zip(photographs, results, strict=True):
        rendition = tiny.decode(make_rendition(path.read_bytes()))
        (prediction,) = tiny.predict([tiny.prepare(rendition)])
        triage = triage_image(Finding(prediction.p_severe, prediction.disagreement), policy)
        row = result.row()
        assert list(row) == list(COLUMNS)
        assert row["severity"] == triage.severity
        assert row["reasons"] == list(triage.reasons)
        assert row["p_severe"] == pytest.approx(prediction.p_severe, abs=1e-3)
        assert row["disagreement"] == pytest.approx(prediction.disagreement, abs=1e-3)
        for name in CLASSES:
            assert row[f"p_{name}"] == pytest.approx(prediction.probabilities[name], abs=1e-3)


def test_a_bad_photograph_keeps_its_place_and_its_reason(
    photographs: list[Path], tiny: Ensemble, tmp_path: Path
) -> None:
    photographs[1].write_bytes(photographs[1].read_bytes()[:500])
    photographs[2].write_bytes(b"no photograph")
    results = list(score_photographs([*photographs, tmp_path / "gone.png"], tiny, batch=4))
    assert [(result.image, result.reasons) for result in results if not result.prediction] == [
        (photographs[1].stem, ("truncated_image",)),
        (photographs[2].stem, ("unsupported_media_type",)),
        ("gone", ("unreadable_file",)),
    ]
    assert results[1].row()["severity"] == Severity.UNSCORED
    assert results[1].row()["p_severe"] is None
    assert results[1].error
    assert sum(result.prediction is not None for result in results) == 3


def test_a_small_device_gets_smaller_batches(
    photographs: list[Path], tiny: Ensemble, tiny_folder: Path
) -> None:
    expected = [scored.row() for scored in score_photographs(photographs, tiny, batch=5)]
    small = SmallDeviceEnsemble.load(tiny_folder, "cpu")
    assert [scored.row() for scored in score_photographs(photographs, small, batch=5)] == expected


def test_quality_and_explanation_are_in_the_row(tiny: Ensemble, tmp_path: Path) -> None:
    path = tmp_path / "dark.png"
    Image.new("RGB", (160, 120), (12, 12, 12)).save(path)
    (scored,) = score_photographs([path], tiny, batch=1)
    row = scored.row()
    assert row["quality"] == ["bad_framing", "bad_lighting", "blurry", "low_resolution", "distance"]
    assert scored.prediction is not None
    policy = tiny.manifest.thresholds.policy()
    finding = Finding(scored.prediction.p_severe, scored.prediction.disagreement)
    assert row["explanation"] == explain(finding, scored.prediction.member_p_severe, policy)


def test_a_heat_map_has_the_proportions_of_the_photograph(
    photographs: list[Path], tiny: Ensemble
) -> None:
    plain = open_rendition(make_rendition(photographs[0].read_bytes()))
    with Image.open(io.BytesIO(heat_map(photographs[0], tiny))) as picture:
        assert picture.format == "JPEG"
        ratio = plain.width / plain.height
        assert picture.width / picture.height == pytest.approx(ratio, abs=0.01)
        assert max(picture.size) <= 640

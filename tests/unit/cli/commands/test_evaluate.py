"""`dermtriage evaluate`, from the command line to the report."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dermtriage_cli.demo.samples import generate
from dermtriage_cli.main import app
from dermtriage_worker.ensemble.tiny import build_tiny_release

CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")

run = CliRunner().invoke


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    build_tiny_release(tmp_path / "tiny")
    (tmp_path / "images").mkdir()
    with (tmp_path / "truth.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["image", *CLASSES])
        for index, sample in enumerate(generate(7, seed=1)):
            (tmp_path / "images" / f"{sample.name}.jpg").write_bytes(sample.jpeg)
            writer.writerow([sample.name, *(float(place == index) for place in range(7))])
    values = {"images": "images", "labels": "truth.csv", "release": "tiny", "report": "report"}
    return [
        "evaluate",
        *(word for name, path in values.items() for word in (f"--{name}", str(tmp_path / path))),
        "--device",
        "cpu",
    ]


def test_figures_and_report(arguments: list[str], tmp_path: Path) -> None:
    result = run(app, arguments)
    assert result.exit_code == 0, result.output
    assert "Malignancy AUC" in result.stdout
    assert "Severe called low" in result.stdout
    assert str(tmp_path / "report" / "report.html") in result.stdout
    data = json.loads((tmp_path / "report" / "report.json").read_text())
    assert data["evaluation"]["photographs"] == 7
    assert f"{data['evaluation']['figures']['auc']['value']:.3f}" in result.stdout
    assert data["shifts"] is None


def test_shifts_on_a_sample(arguments: list[str], tmp_path: Path) -> None:
    result = run(app, [*arguments, "--shifts", "--sample", "7"])
    assert result.exit_code == 0, result.output
    assert "AUC: Drawn hair" in result.stdout
    data = json.loads((tmp_path / "report" / "report.json").read_text())
    assert len(data["shifts"]["shifts"]) == 15


def test_strangers_are_not_out_of_fold(arguments: list[str], tmp_path: Path) -> None:
    result = run(app, [*arguments, "--out-of-fold"])
    assert result.exit_code == 1
    assert "not of the training set" in " ".join(result.stderr.split())
    assert not (tmp_path / "report").exists()


def test_a_sample_goes_with_shifts(arguments: list[str]) -> None:
    assert run(app, [*arguments, "--sample", "3"]).exit_code == 2

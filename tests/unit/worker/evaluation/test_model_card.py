"""The model card says what was measured, of the right release, and shows its plots."""

import json
import re
from pathlib import Path

import pytest

from dermtriage_worker.evaluation.explanation_figures import (
    ExplanationFigures,
    MapFigures,
    SampleFigures,
)
from dermtriage_worker.evaluation.measure import Measurement
from dermtriage_worker.evaluation.model_card import CardRefused, write_model_card
from dermtriage_worker.evaluation.report import Report, write_report


@pytest.fixture(scope="module")
def report(measurement: Measurement, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(measurement, folder, images=Path("images"), labels=Path("truth.csv"))
    return folder


def explanations_of(release: str, folder: Path) -> Path:
    def one(value: float) -> MapFigures:
        return MapFigures(peaks_inside=value, energy_inside=value / 2)

    sample = SampleFigures(
        photographs=76,
        heat_map=one(0.91),
        untrained=one(0.83),
        contrast=one(0.75),
        disc_inside=0.251,
    )
    figures = ExplanationFigures(release=release, out_of_fold=152, off_centre=sample, any=sample)
    path = folder / "explanations.json"
    path.write_text(figures.model_dump_json())
    return path


@pytest.fixture(scope="module")
def card(measurement: Measurement, report: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    out = folder / "model-card.md"
    explanations = explanations_of(measurement.manifest.name, folder)
    write_model_card(out, measurement.manifest, report, explanations)
    return out


def test_every_figure_of_the_report_is_there(card: Path, measurement: Measurement) -> None:
    text = card.read_text()
    auc = measurement.evaluation.figures["auc"]
    assert f"| Malignancy AUC | {auc.value:.3f} | {auc.low:.3f}\N{EN DASH}{auc.high:.3f} |" in text
    for row in measurement.evaluation.classes:
        assert f"| `{row.name}` " in text
    for row in measurement.evaluation.subgroups:
        assert f"| {row.field}: {row.value} |" in text
    assert measurement.shifts is not None
    for shift in measurement.shifts.shifts:
        assert f"| {shift.description} | {shift.auc.value:.3f} " in text
    assert "91.0\N{NO-BREAK SPACE}%" in text
    assert "25.1\N{NO-BREAK SPACE}%" in text


def test_tables_are_whole(card: Path) -> None:
    """Every row of a table has as many cells as its head."""
    cells = None
    for line in card.read_text().splitlines():
        if not line.startswith("|"):
            cells = None
            continue
        count = line.replace("\\|", "").count("|")
        cells = count if cells is None else cells
        assert count == cells, line


def test_every_plot_that_it_shows_lies_beside_it(card: Path) -> None:
    shown = re.findall(r'<img src="([^"]+)" alt="[^"]+"', card.read_text())
    assert len(shown) == 5
    for name in shown:
        assert (card.parent / name).read_text().startswith("<svg")
    assert len(list((card.parent / "model-card").iterdir())) == 5


def test_a_card_is_of_one_release(measurement: Measurement, report: Path, tmp_path: Path) -> None:
    other = explanations_of("another", tmp_path)
    with pytest.raises(CardRefused, match="is of release another"):
        write_model_card(tmp_path / "card.md", measurement.manifest, report, other)
    assert not (tmp_path / "card.md").exists()


def test_what_cannot_be_read_is_named(
    measurement: Measurement, report: Path, tmp_path: Path
) -> None:
    with pytest.raises(CardRefused, match="cannot be read"):
        write_model_card(
            tmp_path / "card.md", measurement.manifest, report, tmp_path / "missing.json"
        )
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({"release": "tiny"}))
    with pytest.raises(CardRefused, match="does not hold"):
        write_model_card(tmp_path / "card.md", measurement.manifest, report, broken)


def test_a_report_is_read_as_it_was_written(report: Path) -> None:
    text = (report / "report.json").read_text()
    assert "null" in text, "a set this small leaves figures undefined"
    assert json.loads(Report.model_validate_json(text).model_dump_json()) == json.loads(text)

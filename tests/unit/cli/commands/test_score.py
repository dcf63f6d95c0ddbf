"""`dermtriage score`, from the command line to the scores."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dermtriage_cli.main import app
from dermtriage_worker.ensemble.manifest_file import write_manifest
from dermtriage_worker.ensemble.tiny import build_tiny_release

run = CliRunner().invoke

pytestmark = pytest.mark.usefixtures("tiny_release")


def test_scores_are_printed_as_json(photographs: Path) -> None:
    result = run(app, ["score", str(photographs), "--json", "--device", "cpu"])
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [row["image"] for row in rows] == ["sample-0001", "sample-0002", "sample-0003"]
    for row in rows:
        severe = row["p_akiec"] + row["p_bcc"] + row["p_mel"]
        assert row["p_severe"] == pytest.approx(severe, abs=1e-6)


def test_scores_are_written_as_csv_and_an_unreadable_file_is_listed(
    photographs: Path, tmp_path: Path
) -> None:
    (photographs / "sample-0002.jpg").write_bytes(b"")
    target = tmp_path / "scores.csv"
    result = run(app, ["score", str(photographs), "--csv", str(target)])
    assert result.exit_code == 0
    assert "The file is empty" in result.stderr
    heading, first, second, _ = target.read_text().splitlines()
    assert heading == (
        "image,severity,p_severe,p_akiec,p_bcc,p_bkl,p_df,p_mel,p_nv,p_vasc,disagreement,reasons,"
        "quality,explanation"
    )
    assert first.startswith("sample-0001,")
    assert second == "sample-0002,unscored,,,,,,,,,,empty_image,,"


def test_only_severe_photographs_get_a_heat_map(photographs: Path, tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    words = ["score", str(photographs), "--csv", "-", "--explain", str(maps)]
    scores = [float(row["p_severe"]) for row in csv.DictReader(run(app, words).stdout.splitlines())]
    assert list(maps.iterdir()) == []

    folder = tmp_path / "releases" / "strict"
    manifest = build_tiny_release(folder)
    middle = sorted(scores)[1]
    strict = manifest.thresholds.model_copy(update={"lower": 0.0, "upper": middle})
    write_manifest(folder, manifest.model_copy(update={"thresholds": strict}))
    result = run(app, [*words, "--release", "strict"])
    assert result.exit_code == 0, result.stderr
    severe = {
        row["image"]
        for row in csv.DictReader(result.stdout.splitlines())
        if row["severity"] == "severe"
    }
    assert {path.stem for path in maps.iterdir()} == severe
    assert 0 < len(severe) < 3


def test_photographs_of_the_same_name_have_rows_of_their_own(photographs: Path) -> None:
    for folder in ("100APPLE", "101APPLE"):
        (photographs / folder).mkdir()
    (photographs / "sample-0001.jpg").rename(photographs / "100APPLE/IMG_0001.JPG")
    (photographs / "sample-0002.jpg").rename(photographs / "101APPLE/IMG_0001.JPG")
    result = run(app, ["score", str(photographs), "--json", "--device", "cpu"])
    assert [row["image"] for row in json.loads(result.stdout)] == [
        "100APPLE/IMG_0001.JPG",
        "101APPLE/IMG_0001.JPG",
        "sample-0003",
    ]


def test_the_status_is_1_if_nothing_could_be_scored(tmp_path: Path) -> None:
    (tmp_path / "note.jpg").write_text("no photograph")
    assert run(app, ["score", str(tmp_path / "note.jpg")]).exit_code == 1


def test_a_table_that_describes_other_photographs_is_refused(
    photographs: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("image,sex\nanother,male\n")
    result = run(app, ["score", str(photographs), "--metadata", str(table)])
    assert result.exit_code == 1
    assert "no row for any of these photographs" in result.stderr
    table.write_text("image,sex\nsample-0001.jpg,male\n")
    result = run(app, ["score", str(photographs), "--metadata", str(table), "--json"])
    assert result.exit_code == 0
    assert "1 of 3" in result.stderr


def test_metadata_changes_the_score_of_the_photograph_it_describes(
    photographs: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("image,sex,age_approx,anatom_site\nsample-0001,male,75,head/neck\n")
    alone, informed = (
        json.loads(run(app, ["score", str(photographs), "--json", *more]).stdout)
        for more in ([], ["--metadata", str(table)])
    )
    changed = [
        one["image"]
        for one, other in zip(alone, informed, strict=True)
        if one["p_severe"] != other["p_severe"]
    ]
    assert changed == ["sample-0001"]
    table.write_text("image,age_approx\nsample-0001,old\n")
    result = run(app, ["score", str(photographs), "--metadata", str(table)])
    assert result.exit_code == 1
    assert "line 2: age_approx: 'old' is not a number" in " ".join(result.stderr.split())

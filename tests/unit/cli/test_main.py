"""The command itself: help, errors, exit statuses."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from dermtriage.core.settings import get_settings
from dermtriage_cli.demo.samples import generate
from dermtriage_cli.main import app
from dermtriage_worker.ensemble.manifest import write_manifest
from dermtriage_worker.ensemble.tiny import build_tiny_release

run = CliRunner().invoke

COMMANDS = [
    ["up"],
    ["demo"],
    ["submit"],
    ["worklist"],
    ["score"],
    ["clinic", "add"],
    ["clinic", "list"],
    ["clinic", "revoke"],
    ["clinician", "add"],
    ["clinician", "list"],
    ["clinician", "disable"],
    ["db", "upgrade"],
    ["release", "verify"],
    ["release", "list"],
    ["release", "activate"],
    ["release", "shadow"],
    ["release", "compare"],
    ["doctor"],
    ["train"],
    ["evaluate"],
    ["evaluate-explanations"],
]


@pytest.fixture(autouse=True)
def _settings_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERMTRIAGE_RELEASES_DIR", str(tmp_path / "releases"))
    monkeypatch.setenv("DERMTRIAGE_DEFAULT_RELEASE", "tiny")
    build_tiny_release(tmp_path / "releases" / "tiny")
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for sample in generate(3, seed=1):
        (folder / f"{sample.name}.jpg").write_bytes(sample.jpeg)
    return folder


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    result = run(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Example: " in result.output


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; import dermtriage_cli.main;"
        "print({'torch', 'celery', 'sqlalchemy', 'fastapi', 'numpy', 'httpx'} & set(sys.modules))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "set()"


def test_an_error_is_a_sentence_and_status_1(tmp_path: Path) -> None:
    result = run(app, ["clinic", "list", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "No stack runs in" in result.stderr
    assert "dermtriage up" in result.stderr
    assert "Traceback" not in result.output


def test_a_wrong_command_line_is_status_2() -> None:
    assert run(app, ["score"]).exit_code == 2
    assert run(app, ["score", "nowhere.jpg"]).exit_code == 2


def test_scores_are_printed_as_json(photographs: Path) -> None:
    result = run(app, ["score", str(photographs), "--json", "--device", "cpu"])
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [row["image"] for row in rows] == ["sample-0001", "sample-0002", "sample-0003"]
    for row in rows:
        severe = row["p_akiec"] + row["p_bcc"] + row["p_mel"]
        assert row["p_severe"] == pytest.approx(severe, abs=1e-6)


def test_scores_are_written_as_csv_and_a_bad_file_goes_along(
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


def test_severe_photographs_are_explained_and_others_are_not(
    photographs: Path, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    asked = ["score", str(photographs), "--csv", "-", "--explain", str(maps)]
    scores = [float(row["p_severe"]) for row in csv.DictReader(run(app, asked).stdout.splitlines())]
    assert list(maps.iterdir()) == []

    folder = tmp_path / "releases" / "strict"
    manifest = build_tiny_release(folder)
    middle = sorted(scores)[1]
    strict = manifest.thresholds.model_copy(update={"lower": 0.0, "upper": middle})
    write_manifest(folder, manifest.model_copy(update={"thresholds": strict}))
    result = run(app, [*asked, "--release", "strict"])
    assert result.exit_code == 0, result.stderr
    severe = {
        row["image"]
        for row in csv.DictReader(result.stdout.splitlines())
        if row["severity"] == "severe"
    }
    assert {path.stem for path in maps.iterdir()} == severe
    assert 0 < len(severe) < 3


def test_status_1_if_nothing_could_be_scored(tmp_path: Path) -> None:
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


def test_metadata_moves_the_score_of_the_photograph_it_describes(
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
    assert "line 2: age_approx is 'old'" in " ".join(result.stderr.split())


def test_submit_prints_receipts_and_lists_failures(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        taken.append(request.headers["authorization"])
        if len(taken) == 2:
            return httpx.Response(422, json={"detail": "It is blurred.", "code": "blurred"})
        receipt = {
            "case_id": f"case-{len(taken)}",
            "received_at": "2026-03-01T08:15:30Z",
            "priority": "routine",
            "images": [{}],
        }
        return httpx.Response(202, json=receipt)

    def open_client(server: str, token: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"}
        transport = httpx.MockTransport(answer)
        return httpx.Client(base_url=server, headers=headers, transport=transport)

    monkeypatch.setattr("dermtriage_cli.client.open_client", open_client)
    command = ["submit", str(photographs), "--json", "--concurrency", "1"]
    result = run(app, command, env={"DERMTRIAGE_API_KEY": "dtc_a_b"})
    assert result.exit_code == 1
    printed = json.loads(result.stdout)
    assert [one["case_id"] for one in printed["receipts"]] == ["case-1", "case-3"]
    assert [one["code"] for one in printed["failures"]] == ["blurred"]
    assert "It is blurred." in result.stderr
    assert "1 of 3 cases" in result.stderr
    assert set(taken) == {"Bearer dtc_a_b"}


def test_submit_reads_the_table_before_it_sends_anything(photographs: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("image,age_approx\nsample-0001,44\nsample-0002,45\nsample-0003,45\n")
    result = run(
        app,
        ["submit", str(photographs), "--metadata", str(table), "--api-key", "dtc_a_b"],
    )
    assert result.exit_code == 1
    assert "line 2: age_approx" in result.stderr


def test_train_says_what_is_missing(tmp_path: Path) -> None:
    result = run(app, ["train", "--data", str(tmp_path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "Error:" in result.stderr
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("seed = 'x'")
    result = run(app, ["train", "--data", str(tmp_path), "--config", str(wrong)])
    assert result.exit_code == 1
    assert "wrong.toml cannot be used: seed" in result.stderr
    result = run(app, ["train", "--data", str(tmp_path), "--member", "nobody"])
    assert result.exit_code == 1
    assert "no member 'nobody'" in result.stderr

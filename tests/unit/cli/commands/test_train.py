"""`dermtriage train`: errors before any training begins."""

from pathlib import Path

from typer.testing import CliRunner

from dermtriage_cli.main import app

run = CliRunner().invoke


def test_wrong_data_configurations_and_members_are_refused(tmp_path: Path) -> None:
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

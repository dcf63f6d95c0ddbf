"""The command itself: help, errors, exit statuses."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dermtriage_cli.main import app

run = CliRunner().invoke

COMMANDS = [
    ["up"],
    ["demo"],
    ["dev"],
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
    ["release", "build"],
    ["retriage"],
    ["rescore"],
    ["rescore", "watch"],
    ["rescore", "list"],
    ["rescore", "report"],
    ["rescore", "pause"],
    ["rescore", "resume"],
    ["rescore", "cancel"],
    ["doctor"],
    ["train"],
    ["evaluate"],
    ["evaluate-explanations"],
    ["model-card"],
]


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

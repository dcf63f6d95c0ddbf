"""The command itself: help, errors, exit statuses."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from dermtriage_cli.main import app

run = CliRunner().invoke


def runnable(command: Any, *path: str) -> Iterator[list[str]]:
    """Yield the words of each command that can be run, of a command or a group of them."""
    subcommands = command.commands if isinstance(command, TyperGroup) else {}
    if path and (not subcommands or command.invoke_without_command):
        yield list(path)
    for name, subcommand in subcommands.items():
        yield from runnable(subcommand, *path, name)


COMMANDS = list(runnable(typer.main.get_command(app)))


def test_the_commands_are_found() -> None:
    assert {("submit",), ("rescore",), ("rescore", "watch")} <= set(map(tuple, COMMANDS))


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

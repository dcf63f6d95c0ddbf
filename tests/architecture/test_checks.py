"""The checks before a commit and before a merge: they can run, and are the same."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml
from pre_commit.clientlib import load_config

ROOT = Path(__file__).parents[2]


def hooks() -> dict[str, dict[str, Any]]:
    config = load_config(str(ROOT / ".pre-commit-config.yaml"))
    return {hook["id"]: hook for repo in config["repos"] for hook in repo["hooks"]}


def test_the_hooks_need_no_network() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert hooks().keys() >= {"ruff-check", "ruff-format", "mypy", "lint-imports", "large-files"}


def test_large_files_are_stopped(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"1")
    with large.open("wb") as file:
        file.truncate(21 * 2**20)
    guard = hooks()["large-files"]["entry"]

    def stops(*paths: Path) -> bool:
        command = " ".join([guard, *map(str, paths)])
        return subprocess.run(command, shell=True, capture_output=True, check=False).returncode != 0

    assert not stops(small)
    assert stops(small, large)


def test_the_merge_check_runs_lint_tests_and_the_demonstration() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    steps = re.findall(r"^run (.+)$", script.read_text(), re.MULTILINE)
    assert steps == ["make lint", "make test", "make demo ONCE=1"]

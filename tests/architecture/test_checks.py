"""The checks before a commit and before a merge: they can run, and agree."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.specifiers import SpecifierSet
from pre_commit.clientlib import load_config

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def hooks() -> dict[str, dict[str, Any]]:
    config = load_config(str(ROOT / ".pre-commit-config.yaml"))
    return {hook["id"]: hook for repo in config["repos"] for hook in repo["hooks"]}


def test_the_hooks_need_no_network() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    # Pinned, because a hook that is missing makes no other check fail.
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


def test_the_merge_check_needs_a_browser_and_runs_lint_tests_and_the_demonstration() -> None:
    """Each step is asserted because leaving one out would make no other check fail."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text()
    assert "export DERMTRIAGE_REQUIRE_BROWSER=1\n" in text
    steps = re.findall(r"^run (.+)$", text, re.MULTILINE)
    assert steps == ["make lint", "make test", "make demo ONCE=1"]


def test_the_hosted_ci_runs_the_merge_check_on_every_supported_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
    supported = SpecifierSet(PYPROJECT["project"]["requires-python"])
    versions = [f"3.{minor}" for minor in range(30) if f"3.{minor}" in supported]
    assert job["strategy"]["matrix"]["python"] == versions


def test_every_make_target_has_help() -> None:
    text = (ROOT / "Makefile").read_text()
    (targets,) = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    shown = re.findall(r"^([a-z-]+):.* ## .+$", text, re.MULTILINE)
    assert sorted(shown) == sorted(targets.split())

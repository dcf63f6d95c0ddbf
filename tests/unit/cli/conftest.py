"""A release of tiny networks and photographs, for commands without servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dermtriage.core.settings import get_settings
from dermtriage_cli.demo.samples import generate
from dermtriage_worker.ensemble.tiny import build_tiny_release


@pytest.fixture
def tiny_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a tiny release, which is the default one for commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERMTRIAGE_RELEASES_DIR", str(tmp_path / "releases"))
    monkeypatch.setenv("DERMTRIAGE_DEFAULT_RELEASE", "tiny")
    build_tiny_release(tmp_path / "releases" / "tiny")
    get_settings.cache_clear()
    yield tmp_path / "releases" / "tiny"
    get_settings.cache_clear()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for sample in generate(3, seed=1):
        (folder / f"{sample.name}.jpg").write_bytes(sample.jpeg)
    return folder

"""Changed, added and removed Python files are noticed."""

import os
from pathlib import Path

import pytest

from dermtriage_cli.embedded.source_watcher import SourceWatcher


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "module.py"
    path.parent.mkdir()
    path.touch()
    return path


def test_each_change_is_reported_once(source: Path, tmp_path: Path) -> None:
    watcher = SourceWatcher([tmp_path], interval=0)
    assert watcher.changed() is None
    os.utime(source, ns=(0, 0))
    assert watcher.changed() == source
    assert watcher.changed() is None
    added = source.with_name("another.py")
    added.touch()
    assert watcher.changed() == added
    added.unlink()
    assert watcher.changed() == added
    assert watcher.changed() is None


def test_other_files_do_not_count(source: Path, tmp_path: Path) -> None:
    watcher = SourceWatcher([tmp_path], interval=0)
    source.with_suffix(".pyc").touch()
    assert watcher.changed() is None


def test_files_are_read_once_per_interval(source: Path, tmp_path: Path) -> None:
    watcher = SourceWatcher([tmp_path], interval=3600)
    os.utime(source, ns=(0, 0))
    assert watcher.changed() is None

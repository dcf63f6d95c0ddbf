"""A release's manifest: read strictly, without torch."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dermtriage.core.errors import ReleaseInvalid
from dermtriage_worker.ensemble.manifest import (
    MANIFEST_NAME,
    manifest_sha256,
    read_manifest,
    write_manifest,
)
from dermtriage_worker.ensemble.tiny import build_tiny_release

Edit = Callable[[Callable[[dict[str, Any]], None]], Path]


@pytest.fixture
def edited(tmp_path: Path) -> Edit:
    """A release whose manifest was changed by a function."""

    def edit(change: Callable[[dict[str, Any]], None]) -> Path:
        folder = tmp_path / "edited"
        build_tiny_release(folder)
        path = folder / MANIFEST_NAME
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return folder

    return edit


def test_what_is_written_is_read(tmp_path: Path) -> None:
    manifest = build_tiny_release(tmp_path / "one")
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    assert manifest.name == "one"


def test_digest_is_of_the_file(tmp_path: Path) -> None:
    build_tiny_release(tmp_path)
    content = (tmp_path / MANIFEST_NAME).read_bytes()
    assert manifest_sha256(tmp_path) == hashlib.sha256(content).hexdigest()


def test_unknown_field_is_refused(edited: Edit) -> None:
    folder = edited(lambda manifest: manifest.update(surprise=1))
    with pytest.raises(ReleaseInvalid, match="surprise"):
        read_manifest(folder)


def test_unknown_field_of_a_member_is_refused(edited: Edit) -> None:
    folder = edited(lambda manifest: manifest["members"][0].update(pickle="x"))
    with pytest.raises(ReleaseInvalid, match=r"members\.0\.pickle"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "name",
    ["../x.safetensors", "/etc/passwd", "a/b", "a\\b", "..", ".", ".hidden", "C:x", ""],
)
def test_file_outside_the_folder_is_refused(edited: Edit, name: str) -> None:
    folder = edited(lambda manifest: manifest["members"][0].update(file=name))
    with pytest.raises(ReleaseInvalid, match=r"members\.0\.file"):
        read_manifest(folder)


def test_other_classes_are_refused(edited: Edit) -> None:
    folder = edited(lambda manifest: manifest["classes"].reverse())
    with pytest.raises(ReleaseInvalid, match="classes"):
        read_manifest(folder)


def test_weights_must_sum_to_one(edited: Edit) -> None:
    folder = edited(lambda manifest: manifest["members"][0].update(weight=0.6))
    with pytest.raises(ReleaseInvalid, match="sum"):
        read_manifest(folder)


def test_members_of_one_name_are_refused(edited: Edit) -> None:
    folder = edited(lambda manifest: manifest["members"][1].update(name="tiny_a"))
    with pytest.raises(ReleaseInvalid, match="same name"):
        read_manifest(folder)


def test_thresholds_must_be_ordered(edited: Edit) -> None:
    folder = edited(lambda manifest: manifest["thresholds"].update(lower=0.9))
    with pytest.raises(ReleaseInvalid, match="lower threshold"):
        read_manifest(folder)


def test_too_costly_ensemble_is_refused(edited: Edit) -> None:
    folder = edited(lambda manifest: manifest.update(gmac=3.5))
    with pytest.raises(ReleaseInvalid, match="gmac"):
        read_manifest(folder)


def test_missing_and_broken_manifests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseInvalid, match=r"manifest\.json"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST_NAME).write_text("{")
    with pytest.raises(ReleaseInvalid, match="cannot be used"):
        read_manifest(tmp_path)


def test_reading_needs_no_torch() -> None:
    code = "import sys, dermtriage_worker.ensemble.manifest; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

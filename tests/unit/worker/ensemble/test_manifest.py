"""A manifest with unknown, wrong or contradictory fields is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dermtriage.core.errors import ReleaseInvalid
from dermtriage_worker.ensemble.manifest_file import (
    MANIFEST_NAME,
    read_manifest,
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

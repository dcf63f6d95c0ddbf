"""Finding photographs in files and folders, and naming them."""

from pathlib import Path

import pytest

from dermtriage.core.errors import RequestRejected
from dermtriage_cli.clinic_files.photographs import (
    by_name,
    distinct_names,
    find_photographs,
    name_of,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "deep/er/c.jpeg", "notes.txt", ".hidden.jpg", "scan.webp"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_folders_are_searched_recursively_and_sorted(folder: Path) -> None:
    found = find_photographs([folder])
    assert [str(path.relative_to(folder)) for path in found.photographs] == [
        "a.PNG",
        "b.jpg",
        "deep/er/c.jpeg",
    ]
    assert [path.name for path in found.left_out] == ["notes.txt", "scan.webp"]


def test_in_folders_content_counts_as_well_as_the_ending(folder: Path) -> None:
    (folder / "phone").write_bytes(b"\xff\xd8\xff\xe0")
    (folder / "scan.webp").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "scan.jfif").touch()
    found = find_photographs([folder])
    assert {"phone", "scan.webp", "scan.jfif"} < {path.name for path in found.photographs}
    assert [path.name for path in found.left_out] == ["notes.txt"]


def test_the_table_among_the_photographs_is_not_left_out(folder: Path) -> None:
    found = find_photographs([folder, folder / "deep"], folder / "notes.txt")
    assert [path.name for path in found.left_out] == ["scan.webp"]


def test_a_named_file_is_taken_whatever_it_is_called(folder: Path) -> None:
    assert find_photographs([folder / "scan.webp"]).photographs == [folder / "scan.webp"]


def test_a_photograph_comes_once(folder: Path) -> None:
    found = find_photographs([folder / "b.jpg", folder, folder / "deep/../b.jpg"])
    assert sorted(path.name for path in found.photographs) == ["a.PNG", "b.jpg", "c.jpeg"]


def test_nothing_found_is_an_error(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RequestRejected, match="No photograph"):
        find_photographs([empty])
    with pytest.raises(RequestRejected, match="does not exist"):
        find_photographs([folder / "nowhere"])


def test_names_lose_the_ending_of_a_photograph_alone() -> None:
    assert name_of("ISIC_0024306.jpg") == "ISIC_0024306"
    assert name_of(Path("folder/x.JPEG")) == "x"
    assert name_of("visit.2024.03") == "visit.2024.03"


def test_names_are_the_same_on_a_mac() -> None:
    assert name_of("cafe\N{COMBINING ACUTE ACCENT}.jpg") == name_of("caf\xe9") == "caf\xe9"


def test_photographs_of_the_same_name_are_told_apart_by_their_folders() -> None:
    paths = [Path(path) for path in ("in/100/a.jpg", "in/101/a.jpg", "in/101/b.jpg")]
    assert distinct_names(paths) == ["100/a.jpg", "101/a.jpg", "b"]


def test_two_photographs_of_one_name_cannot_be_told_apart() -> None:
    with pytest.raises(RequestRejected, match="same name"):
        by_name([Path("left/a.jpg"), Path("right/a.png")])

"""Photographs on this machine: find them, and name them as the CSV table does."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path

from dermtriage.core.errors import RequestRejected

ENDINGS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png"})
"""Endings of JPEG and PNG files."""

_OTHER_ENDINGS = frozenset({".heic", ".heif", ".dng", ".tif", ".tiff", ".bmp", ".gif", ".webp"})
"""Endings of photographs that are not accepted."""

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
"""The first bytes of a JPEG and of a PNG file."""


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The photographs in files and folders, and the other files of the folders."""

    photographs: list[Path]
    left_out: list[Path]


def find_photographs(paths: Sequence[Path], table: Path | None = None) -> FoundFiles:
    """Find the photographs among files and folders.

    A file is taken whatever it is. A folder is searched recursively for JPEG and PNG files, by
    content or ending; its hidden files are ignored. Each file is returned once; those of a folder
    are sorted by path.

    Parameters
    ----------
    table
        A file that belongs to the photographs and is not counted as left out.

    Raises
    ------
    RequestRejected
        If a path does not exist, or no photograph is found.
    """
    found: dict[Path, Path] = {}
    left_out: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            for entry in sorted(path.rglob("*")):
                if entry.is_file() and not entry.name.startswith("."):
                    kind = found if _is_photograph(entry) else left_out
                    kind.setdefault(entry.resolve(), entry)
        elif path.exists():
            found.setdefault(path.resolve(), path)
        else:
            raise RequestRejected(f"{path} does not exist.", remedy="Check the path.", field="PATH")
    if not found:
        raise RequestRejected(
            f"No photograph was found in {', '.join(str(path) for path in paths)}.",
            remedy="Photographs are JPEG or PNG files; export others as JPEG.",
            field="PATH",
        )
    others = left_out.keys() - found.keys() - {table.resolve() if table else None}
    return FoundFiles(list(found.values()), [left_out[key] for key in left_out if key in others])


def name_of(photograph: Path | str) -> str:
    """Return the name of a photograph in tables: the file name without its ending.

    It is in Unicode's normal form C: macOS writes file names in form D, spreadsheets in form C.
    """
    path = Path(photograph)
    name = path.stem if path.suffix.lower() in ENDINGS | _OTHER_ENDINGS else path.name
    return unicodedata.normalize("NFC", name)


def distinct_names(photographs: Sequence[Path]) -> list[str]:
    """Return a name for each photograph: a path for those that share their file name."""
    names = [name_of(path) for path in photographs]
    count = Counter(names)
    repeated = [path.absolute() for path in photographs if count[name_of(path)] > 1]
    folder = commonpath(repeated) if repeated else ""
    return [
        name if count[name] == 1 else str(path.absolute().relative_to(folder))
        for path, name in zip(photographs, names, strict=True)
    ]


def by_name(photographs: Iterable[Path]) -> dict[str, Path]:
    """Return photographs by their names.

    Raises
    ------
    RequestRejected
        If two have the same name, so that a row of a table could mean either.
    """
    names: dict[str, Path] = {}
    for photograph in photographs:
        name = name_of(photograph)
        if name in names:
            raise RequestRejected(
                f"{names[name]} and {photograph} have the same name.",
                remedy="Rename one, or send the folders one after the other.",
                field="PATH",
            )
        names[name] = photograph
    return names


def _is_photograph(path: Path) -> bool:
    if path.suffix.lower() in ENDINGS:
        return True
    try:
        with path.open("rb") as file:
            return file.read(8).startswith(_SIGNATURES)
    except OSError:
        return False

"""Photographs on this machine: which ones a person means, and what they are called."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from dermtriage.core.errors import RequestRejected

ENDINGS = frozenset({".jpg", ".jpeg", ".png"})


def find_photographs(paths: Sequence[Path]) -> list[Path]:
    """Return the photographs among files and folders.

    A file is taken whatever it is called; a folder is searched to its depths for JPEG and PNG
    files. Each photograph comes once, those of a folder sorted by path.

    Raises
    ------
    RequestRejected
        If a path does not exist, or there is no photograph at all.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            inside = (entry for entry in path.rglob("*") if _is_photograph(entry))
            found |= {entry.resolve(): entry for entry in sorted(inside)}
        elif path.exists():
            found[path.resolve()] = path
        else:
            raise RequestRejected(
                f"There is no file or folder {path}.", remedy="Check the path.", field="PATH"
            )
    if not found:
        raise RequestRejected(
            f"No photograph was found in {', '.join(str(path) for path in paths)}.",
            remedy=f"Photographs end in {', '.join(sorted(ENDINGS))}.",
            field="PATH",
        )
    return list(found.values())


def name_of(photograph: Path | str) -> str:
    """Return the name by which tables call a photograph: the file's, without its ending."""
    path = Path(photograph)
    return path.stem if path.suffix.lower() in ENDINGS else path.name


def by_name(photographs: Iterable[Path]) -> dict[str, Path]:
    """Return the photographs by their names, for a table that names them.

    Raises
    ------
    RequestRejected
        If two have the same name, so that nobody could tell which of them a row means.
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
    return path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith(".")

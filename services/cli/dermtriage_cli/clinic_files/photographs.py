"""Photographs on this machine: find them, and name them as the CSV table does."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from dermtriage.core.errors import RequestRejected

ENDINGS = frozenset({".jpg", ".jpeg", ".png"})


def find_photographs(paths: Sequence[Path]) -> list[Path]:
    """Return the photographs among files and folders.

    A file is taken whatever its name; a folder is searched recursively for JPEG and PNG files.
    Each photograph is returned once; those of a folder are sorted by path.

    Raises
    ------
    RequestRejected
        If a path does not exist, or no photograph is found.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            inside = (entry for entry in path.rglob("*") if _is_photograph(entry))
            found |= {entry.resolve(): entry for entry in sorted(inside)}
        elif path.exists():
            found[path.resolve()] = path
        else:
            raise RequestRejected(f"{path} does not exist.", remedy="Check the path.", field="PATH")
    if not found:
        raise RequestRejected(
            f"No photograph was found in {', '.join(str(path) for path in paths)}.",
            remedy=f"The name of a photograph ends in {', '.join(sorted(ENDINGS))}.",
            field="PATH",
        )
    return list(found.values())


def name_of(photograph: Path | str) -> str:
    """Return the name of a photograph in tables: the file name without its ending."""
    path = Path(photograph)
    return path.stem if path.suffix.lower() in ENDINGS else path.name


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
    return path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith(".")

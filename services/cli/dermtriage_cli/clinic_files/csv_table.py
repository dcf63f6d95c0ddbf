"""A clinic's CSV file, with one row per photograph.

The column ``image`` contains the name of the file without its ending. Which other columns a table
may have depends on its use: see `case_table` and `input_table`.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermtriage.core.errors import RequestRejected
from dermtriage_cli.clinic_files.photographs import name_of


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    line: int
    """Line number in the file; the heading is line 1."""
    image: str
    values: dict[str, str]
    """The cells that are not empty, without ``image``, by column."""


def read_rows(path: Path) -> list[Row]:
    """Read a table of photographs, whatever other columns it has.

    Raises
    ------
    RequestRejected
        If the file cannot be read, has no column ``image``, or names a photograph twice.
    """
    try:
        # Excel writes UTF-8 with a byte order mark.
        with path.open(newline="", encoding="utf-8-sig") as text:
            delimiter = _delimiter(text.readline())
            text.seek(0)
            reader = csv.DictReader(text, strict=True, delimiter=delimiter)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            _check_columns(path, columns)
            rows = [_row(path, reader.line_num, cells) for cells in reader]
    except OSError as error:
        raise RequestRejected(
            f"{path} cannot be read: {error.strerror}.", field="--metadata"
        ) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise RequestRejected(
            f"{path} is not a CSV file in UTF-8: {error}.",
            remedy="Export it from the spreadsheet as CSV UTF-8.",
            field="--metadata",
        ) from error
    seen: dict[str, int] = {}
    for row in rows:
        if row.image in seen:
            raise row_error(path, row.line, f"{row.image} is in line {seen[row.image]} already")
        seen[row.image] = row.line
    return rows


def row_error(path: Path, line: int, problem: str) -> RequestRejected:
    """Return the error for one line of a table."""
    return RequestRejected(
        f"{path}, line {line}: {problem}.", remedy="Correct it and try again.", field="--metadata"
    )


def _delimiter(heading: str) -> str:
    """Return what separates the cells: a comma, or what a spreadsheet of another country writes."""
    return max(",;\t", key=heading.count)


def _check_columns(path: Path, columns: list[str]) -> None:
    if "image" not in columns:
        raise RequestRejected(
            f"{path} has no column `image`.",
            remedy="Add a column `image` with the file names, without their endings. The columns"
            f" that were read are: {', '.join(columns)}.",
            field="--metadata",
        )
    if len(set(columns)) < len(columns):
        raise RequestRejected(
            f"{path} has two columns with the same heading.",
            remedy="Remove one of them.",
            field="--metadata",
        )


def _row(path: Path, line: int, cells: dict[str | None, Any]) -> Row:
    if None in cells:
        raise row_error(path, line, "it has more cells than the heading")
    filled = {str(name): text.strip() for name, text in cells.items() if text and text.strip()}
    image = filled.pop("image", "")
    if not image:
        raise row_error(path, line, "its column `image` is empty")
    return Row(line, name_of(image), filled)

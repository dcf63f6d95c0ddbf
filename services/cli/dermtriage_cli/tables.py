"""The clinic's CSV file: which photographs make a case, and what is known of it.

A row a photograph. The column ``image`` holds the name of the file without its ending; ``case``
groups photographs of one lesion; the others have the names of the ISIC archive's metadata.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dermtriage.core.enums import ImageType
from dermtriage.core.errors import RequestRejected
from dermtriage.intake.referral import CaseMetadata
from dermtriage_cli.photographs import name_of

IMAGE_COLUMNS = ("image", "case", "image_type")
CASE_COLUMNS = tuple(
    name for name in CaseMetadata.model_fields if name not in {"images", "history"}
)
_COLUMNS = (*IMAGE_COLUMNS, *CASE_COLUMNS)
_ISIC_IMAGE_TYPES = {
    "clinical: close-up": ImageType.CLOSE_UP,
    "clinical: overview": ImageType.OVERVIEW,
}
_NO_IMAGE_YET = "0" * 64

OLDEST = 120
"""Years; more is a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    line: int
    """Counted as a text editor does; the heading is line 1."""
    image: str
    values: dict[str, str]
    """The columns that are filled, without ``image``."""


@dataclass(frozen=True, slots=True)
class TableCase:
    """What the table says of one case."""

    name: str
    images: dict[str, ImageType]
    """By name, in the order of the rows."""
    metadata: dict[str, Any] = field(default_factory=dict)


def read_rows(path: Path) -> list[Row]:
    """Read a table of photographs, whatever its further columns are.

    Raises
    ------
    RequestRejected
        If the file cannot be read, has no column ``image``, or names a photograph twice.
    """
    try:
        # Excel begins the UTF-8 that it writes with a mark.
        with path.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text, strict=True)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            _check_columns(path, columns)
            rows = [_row(path, reader.line_num, values) for values in reader]
    except OSError as error:
        raise RequestRejected(
            f"{path} cannot be read: {error.strerror}.", field="--metadata"
        ) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise RequestRejected(
            f"{path} is no CSV file in UTF-8: {error}.",
            remedy="Export it from the spreadsheet as CSV UTF-8.",
            field="--metadata",
        ) from error
    seen: dict[str, int] = {}
    for row in rows:
        if row.image in seen:
            raise _wrong(path, row.line, f"{row.image} stands in line {seen[row.image]} already")
        seen[row.image] = row.line
    return rows


def read_inputs(path: Path) -> dict[str, dict[str, str | int]]:
    """Read what a table says of each photograph's patient, as far as an ensemble may use it.

    Raises
    ------
    RequestRejected
        If the table cannot be read, or an age is no number of years.
    """
    return {row.image: _inputs(path, row) for row in read_rows(path)}


def _inputs(path: Path, row: Row) -> dict[str, str | int]:
    known: dict[str, str | int] = {
        field: row.values[field] for field in ("sex", "anatom_site") if field in row.values
    }
    if (age := row.values.get("age_approx")) is not None:
        if not age.isdecimal() or int(age) > OLDEST:
            raise _wrong(path, row.line, f"age_approx is {age!r}, no number of years")
        known["age_approx"] = int(age)
    return known


def read_cases(path: Path, photographs: Iterable[str]) -> list[TableCase]:
    """Read which of these photographs make which case, checked as far as a clinic can.

    Rows of cases of which no photograph is there are left out, so that one table serves many
    folders.

    Raises
    ------
    RequestRejected
        If a column or value is not known, rows of one case contradict each other, a photograph
        has no row, or a case lacks one of its photographs.
    """
    rows = read_rows(path)
    if unknown := sorted({name for row in rows for name in row.values} - set(_COLUMNS)):
        raise RequestRejected(
            f"{path} has columns that a referral does not have: {', '.join(unknown)}.",
            remedy=f"Remove or rename them; known are {', '.join(_COLUMNS)}.",
            field="--metadata",
        )
    there = set(photographs)
    if missing := sorted(there - {row.image for row in rows}):
        raise RequestRejected(
            f"{path} says nothing of {_some(missing)}.",
            remedy="Add a row for each photograph; its column `image` holds the file's name"
            " without the ending.",
            field="--metadata",
        )
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        # Without the column, each photograph is a case of its own.
        grouped.setdefault(row.values.get("case", f"image {row.image}"), []).append(row)
    cases = []
    for name, of_case in grouped.items():
        present = [row for row in of_case if row.image in there]
        if present and len(present) < len(of_case):
            absent = [row.image for row in of_case if row.image not in there]
            raise RequestRejected(
                f"Case {name} in {path} lacks its photograph {_some(absent)}.",
                remedy="Name the missing files as well, or remove their rows.",
                field="--metadata",
            )
        if present:
            cases.append(_case(path, name, of_case))
    return cases


def _check_columns(path: Path, columns: list[str]) -> None:
    if "image" not in columns:
        raise RequestRejected(
            f"{path} has no column `image`.",
            remedy="Put the file names without their endings in a column with this heading.",
            field="--metadata",
        )
    if len(set(columns)) < len(columns):
        raise RequestRejected(
            f"{path} has two columns with the same heading.",
            remedy="Remove one.",
            field="--metadata",
        )


def _row(path: Path, line: int, values: dict[str | None, Any]) -> Row:
    if None in values:
        raise _wrong(path, line, "it has more cells than the heading")
    filled = {str(name): text.strip() for name, text in values.items() if text and text.strip()}
    image = filled.pop("image", "")
    if not image:
        raise _wrong(path, line, "its column `image` is empty")
    return Row(line, name_of(image), filled)


def _case(path: Path, name: str, rows: list[Row]) -> TableCase:
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    for row in rows:
        for column, text in row.values.items():
            if column in IMAGE_COLUMNS:
                continue
            if values.setdefault(column, text) != text:
                raise _wrong(
                    path,
                    row.line,
                    f"{column} is {text!r}, while line {lines[column]} of the same case says"
                    f" {values[column]!r}",
                )
            lines.setdefault(column, row.line)
    images = {row.image: _image_type(path, row) for row in rows}
    # The referral is checked before anything is sent; digests are filled in when it is sent.
    described = [{"image_type": kind, "sha256": _NO_IMAGE_YET} for kind in images.values()]
    try:
        metadata = CaseMetadata.model_validate({**values, "images": described})
    except ValidationError as error:
        fault = error.errors()[0]
        column = str(fault["loc"][0])
        raise _wrong(path, lines.get(column, rows[0].line), f"{column}: {fault['msg']}") from error
    return TableCase(
        name, images, metadata.model_dump(mode="json", exclude={"images"}, exclude_unset=True)
    )


def _image_type(path: Path, row: Row) -> ImageType:
    text = row.values.get("image_type", ImageType.DERMOSCOPIC)
    try:
        return _ISIC_IMAGE_TYPES.get(text.lower()) or ImageType(text.lower())
    except ValueError:
        raise _wrong(
            path,
            row.line,
            f"image_type is {text!r}; it is one of {', '.join(ImageType)}",
        ) from None


def _wrong(path: Path, line: int, what: str) -> RequestRejected:
    return RequestRejected(
        f"{path}, line {line}: {what}.", remedy="Correct it and try again.", field="--metadata"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

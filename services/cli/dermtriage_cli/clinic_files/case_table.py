"""A CSV table whose rows are grouped into cases, with their metadata.

The column ``case`` groups the photographs of one lesion; the others have the names of the ISIC
archive's metadata.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dermtriage.core.enums import ImageType
from dermtriage.core.errors import RequestRejected
from dermtriage.intake.referral import CaseMetadata
from dermtriage_cli.clinic_files.csv_table import Row, read_rows, row_error

IMAGE_COLUMNS = ("image", "case", "image_type")
CASE_COLUMNS = tuple(
    name for name in CaseMetadata.model_fields if name not in {"images", "history"}
)
_COLUMNS = (*IMAGE_COLUMNS, *CASE_COLUMNS)
_ISIC_IMAGE_TYPES = {
    "clinical: close-up": ImageType.CLOSE_UP,
    "clinical: overview": ImageType.OVERVIEW,
}
_NO_DIGEST_YET = "0" * 64
_DIAMETER = "clin_size_long_diam_mm"


@dataclass(frozen=True, slots=True)
class TableCase:
    """One case of a table."""

    name: str
    images: dict[str, ImageType]
    """Image types by photograph, in the order of the rows."""
    metadata: dict[str, Any] = field(default_factory=dict)


def read_cases(path: Path, photographs: Iterable[str]) -> list[TableCase]:
    """Read the cases of these photographs, with their metadata validated.

    Cases without any of these photographs are left out, so that one table serves many folders.

    Raises
    ------
    RequestRejected
        If a column or value is unknown, rows of one case contradict each other, a photograph has
        no row, or a case lacks one of its photographs.
    """
    rows = read_rows(path)
    if unknown := sorted({name for row in rows for name in row.values} - set(_COLUMNS)):
        raise RequestRejected(
            f"{path} has unknown columns: {', '.join(unknown)}.",
            remedy=f"Remove or rename them. Known columns: {', '.join(_COLUMNS)}.",
            field="--metadata",
        )
    names = set(photographs)
    if missing := sorted(names - {row.image for row in rows}):
        raise RequestRejected(
            f"{path} has no row for {_shortened(missing)}.",
            remedy="Add a row for each photograph; its column `image` contains the file name"
            " without the ending.",
            field="--metadata",
        )
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        # Without a `case` column, each photograph is a case of its own.
        grouped.setdefault(row.values.get("case", f"image {row.image}"), []).append(row)
    cases = []
    for name, of_case in grouped.items():
        present = [row for row in of_case if row.image in names]
        if present and len(present) < len(of_case):
            absent = [row.image for row in of_case if row.image not in names]
            raise RequestRejected(
                f"Case {name} in {path} lacks the photograph {_shortened(absent)}.",
                remedy="Give the missing files as well, or remove their rows.",
                field="--metadata",
            )
        if present:
            cases.append(_case(path, name, of_case))
    return cases


def _case(path: Path, name: str, rows: list[Row]) -> TableCase:
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    for row in rows:
        for column, text in row.values.items():
            if column in IMAGE_COLUMNS:
                continue
            if values.setdefault(column, text) != text:
                raise row_error(
                    path,
                    row.line,
                    f"{column} is {text!r}, but {values[column]!r} in line {lines[column]} of the"
                    " same case",
                )
            lines.setdefault(column, row.line)
    images = {row.image: _image_type(path, row) for row in rows}
    # The metadata is validated before anything is sent; digests are added when it is sent.
    described = [{"image_type": kind, "sha256": _NO_DIGEST_YET} for kind in images.values()]
    if (diameter := values.get(_DIAMETER)) is not None:
        # Spreadsheets write decimal commas where people do.
        values[_DIAMETER] = diameter.replace(",", ".")
    try:
        metadata = CaseMetadata.model_validate({**values, "images": described})
    except ValidationError as error:
        fault = error.errors()[0]
        column = str(fault["loc"][0])
        raise row_error(
            path, lines.get(column, rows[0].line), f"{column}: {fault['msg']}"
        ) from error
    return TableCase(
        name, images, metadata.model_dump(mode="json", exclude={"images"}, exclude_unset=True)
    )


def _image_type(path: Path, row: Row) -> ImageType:
    text = row.values.get("image_type", ImageType.DERMOSCOPIC)
    try:
        return _ISIC_IMAGE_TYPES.get(text.lower()) or ImageType(text.lower())
    except ValueError:
        raise row_error(
            path,
            row.line,
            f"image_type is {text!r}; it must be one of {', '.join(ImageType)}",
        ) from None


def _shortened(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

"""Read tables of labels (CSV) in the layouts of ISIC 2018, HAM10000 and the ISIC archive."""

import csv
from dataclasses import dataclass
from pathlib import Path

from dermtriage.core.enums import CLASSES
from dermtriage.core.errors import DermtriageError
from dermtriage_worker.evaluation.diagnoses import COLUMNS as DIAGNOSES
from dermtriage_worker.evaluation.diagnoses import class_of

ISIC_TRUTH = (
    "image",
    *(name.upper() for name in ("mel", "nv", "bcc", "akiec", "bkl", "df", "vasc")),
)
"""Header of the ground truth of ISIC 2018, Task 3."""

HAM_METADATA = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
"""Header of HAM10000's metadata; further columns may follow."""

_IDS = ("isic_id", "image", "image_id")


class LabelsInvalid(DermtriageError):
    """A labelled set does not match its files, or a file is ill-formed."""

    code = "labels_invalid"


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row of a table of labels.

    Attributes
    ----------
    image_id
        As in the table.
    diagnosis
        One of `CLASSES`.
    fields
        All columns of the row; an absent value is empty.
    """

    image_id: str
    diagnosis: str
    fields: dict[str, str]


def read_labels(path: Path) -> list[LabelRow]:
    """Read a table of labels; its header decides the layout.

    Raises
    ------
    LabelsInvalid
        If the file cannot be read, its layout is unknown, a row does not name exactly one known
        class, an image is named twice, or there is no row.
    """
    rows, columns = _read(path)
    if set(ISIC_TRUTH) <= columns:
        id_column, diagnoses = "image", _one_hot(rows, path)
    elif {"image_id", "dx"} <= columns:
        id_column, diagnoses = "image_id", _named(rows, path)
    elif "isic_id" in columns and columns & set(DIAGNOSES):
        id_column, diagnoses = "isic_id", _archived(rows, path)
    else:
        raise LabelsInvalid(
            f"{path} has an unknown layout.",
            remedy=f"Its header should be {','.join(ISIC_TRUTH)} (ISIC 2018, Task 3),"
            f" {','.join(HAM_METADATA)} (HAM10000), or isic_id with diagnosis_1 and on (the ISIC"
            " archive).",
        )
    labels: dict[str, LabelRow] = {}
    for row, diagnosis in zip(rows, diagnoses, strict=True):
        image_id = row[id_column]
        if image_id in labels:
            raise LabelsInvalid(f"{path} names {image_id} twice.", remedy="Remove one of its rows.")
        labels[image_id] = LabelRow(image_id, diagnosis, row)
    if not labels:
        raise LabelsInvalid(f"{path} holds no row.", remedy="Check the file.")
    return list(labels.values())


def read_metadata(path: Path) -> dict[str, dict[str, str]]:
    """Read a table with more fields of each image: rows by image id.

    Raises
    ------
    LabelsInvalid
        If the file cannot be read, or has no column of image ids.
    """
    rows, columns = _read(path)
    column = next((name for name in _IDS if name in columns), None)
    if column is None:
        raise LabelsInvalid(
            f"{path} has no column that names the image.",
            remedy=f"It should be called {' or '.join(_IDS)}.",
        )
    return {row[column]: row for row in rows}


def _read(path: Path) -> tuple[list[dict[str, str]], set[str]]:
    """Return the rows by column, and the names of the columns."""
    try:
        # Excel writes UTF-8 with a byte order mark.
        with path.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text, strict=True, restval="")
            rows = [
                {name: (value or "").strip() for name, value in row.items() if name is not None}
                for row in reader
            ]
            return rows, set(reader.fieldnames or ())
    except OSError as error:
        raise LabelsInvalid(f"{path} cannot be read: {error.strerror}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise LabelsInvalid(f"{path} is not a CSV file in UTF-8: {error}.") from error


def _one_hot(rows: list[dict[str, str]], path: Path) -> list[str]:
    """Return the diagnoses of ISIC 2018's ground truth: a column of 0 and 1 for each class."""
    diagnoses = []
    for line, row in enumerate(rows, 2):
        try:
            values = {name: float(row[name.upper()]) for name in CLASSES}
        except ValueError as error:
            raise LabelsInvalid(f"{path}, row {line}: {error}.") from error
        chosen = [name for name, value in values.items() if value == 1]
        if len(chosen) != 1 or any(value not in {0, 1} for value in values.values()):
            raise LabelsInvalid(
                f"{path}, row {line} ({row['image']}) does not name exactly one class.",
                remedy="Each row needs one 1, and 0 in all other classes. A file of probabilities"
                " is not a ground truth.",
            )
        diagnoses += chosen
    return diagnoses


def _named(rows: list[dict[str, str]], path: Path) -> list[str]:
    """Return the diagnoses of HAM10000: a column with the name of the class."""
    for line, row in enumerate(rows, 2):
        if row["dx"] not in CLASSES:
            raise LabelsInvalid(
                f"{path}, row {line} ({row['image_id']}) has the unknown class {row['dx']!r}.",
                remedy=f"The classes are {', '.join(CLASSES)}. Leave out all others.",
            )
    return [row["dx"] for row in rows]


def _archived(rows: list[dict[str, str]], path: Path) -> list[str]:
    """Return the diagnoses of the ISIC archive: columns with levels of a diagnosis in words."""
    diagnoses = []
    for line, row in enumerate(rows, 2):
        diagnosis = class_of(row)
        if diagnosis is None:
            raise LabelsInvalid(
                f"{path}, row {line} ({row['isic_id']}) has a diagnosis that is none of the"
                f" classes {', '.join(CLASSES)}.",
                remedy="Leave out all others.",
            )
        diagnoses.append(diagnosis)
    return diagnoses

"""Photographs whose diagnosis is known, in the layouts that the field publishes them in."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
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

_ENDINGS = (".jpg", ".jpeg", ".png")
_IDS = ("isic_id", "image", "image_id")
_SITES = ("anatom_site", "anatom_site_general", "anatom_site_1", "localization")
_AGES = ("age_approx", "age")
_TYPES = ("dx_type", "diagnosis_confirm_type")
_ABSENT = frozenset({"", "unknown", "na", "n/a", "nan", "null", "none"})
_SHORT_TYPES = {
    "histopathology": "histo",
    "serial imaging showing no change": "follow_up",
    "single image expert consensus": "consensus",
    "single contributor clinical assessment": "clinical",
    "confocal microscopy with consensus dermoscopy": "confocal",
}
"""The ISIC archive's words for HAM10000's."""


class LabelsInvalid(DermtriageError):
    """A labelled set is not what its files say."""

    code = "labels_invalid"


@dataclass(frozen=True, slots=True)
class Labelled:
    """One photograph with its diagnosis.

    Attributes
    ----------
    image_id
        As the table calls it.
    path
        The file.
    diagnosis
        One of `CLASSES`.
    lesion_id
        The image id where no lesion is known.
    diagnosis_type
        How the diagnosis was made (`histo`, `follow_up`, `consensus`, `confocal`), if known.
    inputs
        Those of `age_approx` (years), `sex` and `anatom_site` that are known.
    """

    image_id: str
    path: Path
    diagnosis: str
    lesion_id: str
    diagnosis_type: str | None = None
    inputs: dict[str, str | int] = field(default_factory=dict)


def read_labelled(images: Path, labels: Path, metadata: Path | None = None) -> list[Labelled]:
    """Read a labelled set, ordered by image id.

    Parameters
    ----------
    images
        Folder of the photographs, searched to its depths; a file is named after its image id.
    labels
        CSV file: the ground truth of ISIC 2018 Task 3 (a column of 0 and 1 for each class),
        HAM10000's metadata, or that of the ISIC archive. Its header tells which.
    metadata
        CSV file of the ISIC archive that says more of each image: `lesion_id`, `age_approx`,
        `sex`, `anatom_site`, `diagnosis_confirm_type`.

    Raises
    ------
    LabelsInvalid
        If a table has another header, names a photograph twice or one that is not there, an
        unknown class, or not exactly one class.
    """
    rows, columns = _read(labels)
    if set(ISIC_TRUTH) <= columns:
        id_column, diagnoses = "image", _one_hot(rows, labels)
    elif {"image_id", "dx"} <= columns:
        id_column, diagnoses = "image_id", _named(rows, labels)
    elif "isic_id" in columns and columns & set(DIAGNOSES):
        id_column, diagnoses = "isic_id", _archived(rows, labels)
    else:
        raise LabelsInvalid(
            f"{labels} has no layout that is known.",
            remedy=f"Its header should be {','.join(ISIC_TRUTH)} (ISIC 2018, Task 3),"
            f" {','.join(HAM_METADATA)} (HAM10000), or isic_id with diagnosis_1 and on (the ISIC"
            " archive).",
        )
    more = _by_id(metadata) if metadata is not None else {}
    files = _files(images)
    found: dict[str, Labelled] = {}
    for row, diagnosis in zip(rows, diagnoses, strict=True):
        name = row[id_column]
        if name in found:
            raise LabelsInvalid(f"{labels} names {name} twice.", remedy="Remove one of its rows.")
        known = row | {column: text for column, text in more.get(name, {}).items() if text}
        found[name] = _labelled(name, _file(files, name, images), diagnosis, known)
    if not found:
        raise LabelsInvalid(f"{labels} holds no row.", remedy="Check the file.")
    return [found[name] for name in sorted(found)]


def _read(path: Path) -> tuple[list[dict[str, str]], set[str]]:
    try:
        # Excel begins the UTF-8 that it writes with a mark.
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
        raise LabelsInvalid(f"{path} is no CSV file in UTF-8: {error}.") from error


def _one_hot(rows: list[dict[str, str]], path: Path) -> list[str]:
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
                remedy="Each row has a single 1 and else 0. A file of probabilities is no truth.",
            )
        diagnoses += chosen
    return diagnoses


def _named(rows: list[dict[str, str]], path: Path) -> list[str]:
    for line, row in enumerate(rows, 2):
        if row["dx"] not in CLASSES:
            raise LabelsInvalid(
                f"{path}, row {line} ({row['image_id']}) has the unknown class {row['dx']!r}.",
                remedy=f"Known are {', '.join(CLASSES)}. Leave out what is none of them.",
            )
    return [row["dx"] for row in rows]


def _archived(rows: list[dict[str, str]], path: Path) -> list[str]:
    diagnoses = []
    for line, row in enumerate(rows, 2):
        diagnosis = class_of(row)
        if diagnosis is None:
            raise LabelsInvalid(
                f"{path}, row {line} ({row['isic_id']}) has a diagnosis that is none of the"
                f" classes {', '.join(CLASSES)}.",
                remedy="Leave out what is none of them.",
            )
        diagnoses.append(diagnosis)
    return diagnoses


def _by_id(path: Path) -> dict[str, dict[str, str]]:
    rows, columns = _read(path)
    column = next((name for name in _IDS if name in columns), None)
    if column is None:
        raise LabelsInvalid(
            f"{path} has no column that names the image.",
            remedy=f"It should be called {' or '.join(_IDS)}.",
        )
    return {row[column]: row for row in rows}


def _files(folder: Path) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for path in folder.rglob("*"):
        if path.suffix.lower() in _ENDINGS and not path.name.startswith("."):
            files.setdefault(path.stem, []).append(path)
    return files


def _file(files: dict[str, list[Path]], name: str, folder: Path) -> Path:
    candidates = files.get(name, [])
    if len(candidates) > 1:
        raise LabelsInvalid(
            f"{folder} holds {name} more than once: {candidates[0]} and {candidates[1]}.",
            remedy="Name the folder that holds each photograph once.",
        )
    if not candidates:
        raise LabelsInvalid(
            f"The photograph {name} is labelled, but is not in {folder}.",
            remedy="Check the folder, or take the row out of the labels.",
        )
    return candidates[0]


def _labelled(name: str, path: Path, diagnosis: str, known: Mapping[str, str]) -> Labelled:
    inputs: dict[str, str | int] = {}
    if age := _first(known, _AGES):
        try:
            inputs["age_approx"] = int(float(age))
        except ValueError as error:
            raise LabelsInvalid(f"The age of {name} is {age!r}, which is no number.") from error
    if sex := _first(known, ("sex",)):
        inputs["sex"] = sex
    if site := _first(known, _SITES):
        inputs["anatom_site"] = site
    kind = _first(known, _TYPES)
    return Labelled(
        image_id=name,
        path=path,
        diagnosis=diagnosis,
        lesion_id=_first(known, ("lesion_id",)) or name,
        diagnosis_type=_SHORT_TYPES.get(kind, kind) if kind else None,
        inputs=inputs,
    )


def _first(row: Mapping[str, str], columns: tuple[str, ...]) -> str | None:
    """Return the first of these columns that says something."""
    return next((row[c] for c in columns if row.get(c, "").lower() not in _ABSENT), None)

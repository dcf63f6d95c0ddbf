"""Labelled photographs: files with their diagnosis and metadata."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dermtriage_worker.evaluation.label_tables import (
    LabelRow,
    LabelsInvalid,
    read_labels,
    read_metadata,
)

_ENDINGS = (".jpg", ".jpeg", ".png")
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
"""The ISIC archive's types of diagnosis, and HAM10000's names for them."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One photograph with its diagnosis.

    Attributes
    ----------
    image_id
        As in the table of labels.
    path
        The file.
    diagnosis
        One of `CLASSES`.
    lesion_id
        The image id if no lesion is known.
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
        Folder of the photographs, with its subfolders; a file is named after its image id.
    labels
        CSV file: the ground truth of ISIC 2018 Task 3 (a column of 0 and 1 for each class),
        HAM10000's metadata, or that of the ISIC archive. Its header decides which.
    metadata
        CSV file of the ISIC archive with more fields of each image: `lesion_id`, `age_approx`,
        `sex`, `anatom_site`, `diagnosis_confirm_type`.

    Raises
    ------
    LabelsInvalid
        If a table is invalid (see `read_labels`, `read_metadata`), an age is not a number, or a
        photograph is missing or there more than once.
    """
    rows = read_labels(labels)
    more = read_metadata(metadata) if metadata is not None else {}
    files = _files_by_stem(images)
    labelled = [
        _labelled(row, _file(files, row.image_id, images), more.get(row.image_id, {}))
        for row in rows
    ]
    return sorted(labelled, key=lambda one: one.image_id)


def _files_by_stem(folder: Path) -> dict[str, list[Path]]:
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
            remedy="Give a folder that holds each photograph once.",
        )
    if not candidates:
        raise LabelsInvalid(
            f"The photograph {name} is labelled, but is not in {folder}.",
            remedy="Check the folder, or remove the row from the labels.",
        )
    return candidates[0]


def _labelled(row: LabelRow, path: Path, more: Mapping[str, str]) -> Labelled:
    known = row.fields | {column: text for column, text in more.items() if text}
    inputs: dict[str, str | int] = {}
    if age := _first_known(known, _AGES):
        try:
            inputs["age_approx"] = int(float(age))
        except ValueError as error:
            raise LabelsInvalid(
                f"The age of {row.image_id} is {age!r}, which is not a number."
            ) from error
    if sex := _first_known(known, ("sex",)):
        inputs["sex"] = sex
    if site := _first_known(known, _SITES):
        inputs["anatom_site"] = site
    kind = _first_known(known, _TYPES)
    return Labelled(
        image_id=row.image_id,
        path=path,
        diagnosis=row.diagnosis,
        lesion_id=_first_known(known, ("lesion_id",)) or row.image_id,
        diagnosis_type=_SHORT_TYPES.get(kind, kind) if kind else None,
        inputs=inputs,
    )


def _first_known(row: Mapping[str, str], columns: tuple[str, ...]) -> str | None:
    """Return the first value of these columns that is not absent or unknown."""
    return next((row[c] for c in columns if row.get(c, "").lower() not in _ABSENT), None)

"""HAM10000 in memory: photographs as bytes, classes, lesions."""

import csv
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dermtriage.errors import DermtriageError
from dermtriage.states import CLASSES
from dermtriage_worker.ensemble.preprocessing import CANONICAL_SIZE, prepare, resample
from dermtriage_worker.training.splits import Split, split_lesions

METADATA_NAME = "HAM10000_metadata.csv"
IMAGE_FOLDER = "images_200x150"
FRAME_WIDTH = CANONICAL_SIZE * 4 // 3
"""Training keeps the whole 4:3 frame, so that a zoom outwards finds real skin at the sides."""


class DataMissing(DermtriageError):
    """The training data is not where it was looked for, or not as it should be."""

    code = "data_missing"


@dataclass(frozen=True)
class Record:
    """One photograph of the data set."""

    image_id: str
    lesion_id: str
    diagnosis: str
    diagnosis_type: str
    path: Path


def read_records(data: Path) -> list[Record]:
    """Read the metadata of HAM10000, ordered by image id.

    Raises
    ------
    DataMissing
        If the folder, a photograph or a known class is missing.
    """
    metadata = data / METADATA_NAME
    if not metadata.is_file():
        raise DataMissing(
            f"No {METADATA_NAME} in {data}. Give HAM10000's folder by --data or DERMTRIAGE_DATA."
        )
    with metadata.open(newline="", encoding="utf-8") as handle:
        records = [
            Record(
                image_id=row["image_id"],
                lesion_id=row["lesion_id"],
                diagnosis=row["dx"],
                diagnosis_type=row["dx_type"],
                path=data / IMAGE_FOLDER / f"{row['image_id']}.jpg",
            )
            for row in csv.DictReader(handle)
        ]
    for record in records:
        if record.diagnosis not in CLASSES:
            raise DataMissing(f"{metadata}: unknown class {record.diagnosis!r}.")
        if not record.path.is_file():
            raise DataMissing(f"{record.path} is named in {METADATA_NAME} but is not there.")
    return sorted(records, key=lambda record: record.image_id)


def assign_splits(
    records: Sequence[Record], *, heldout_share: float, calibration_share: float, seed: int
) -> dict[Split, list[Record]]:
    """Deal photographs to splits along with their lesions."""
    splits = split_lesions(
        {record.lesion_id: record.diagnosis for record in records},
        heldout_share=heldout_share,
        calibration_share=calibration_share,
        seed=seed,
    )
    return {
        split: [record for record in records if splits[record.lesion_id] is split]
        for split in Split
    }


def fingerprint(records: Sequence[Record]) -> str:
    """SHA-256 over every photograph's id, lesion, class and bytes."""
    digest = hashlib.sha256()
    for record in records:
        content = hashlib.sha256(record.path.read_bytes()).hexdigest()
        line = f"{record.image_id},{record.lesion_id},{record.diagnosis},{content}\n"
        digest.update(line.encode())
    return digest.hexdigest()


def labels(records: Sequence[Record]) -> Tensor:
    """Class indices, int64, shape (n,)."""
    return torch.tensor([CLASSES.index(record.diagnosis) for record in records])


def load_frames(records: Sequence[Record]) -> Tensor:
    """Load whole frames for training: uint8, shape (n, 3, 150, 200)."""
    return _load(records, lambda image: resample(image, FRAME_WIDTH, CANONICAL_SIZE))


def load_squares(records: Sequence[Record]) -> Tensor:
    """Prepare exactly as in serving: uint8, shape (n, 3, 150, 150)."""
    return _load(records, prepare)


def _load(records: Sequence[Record], convert: Callable[[Image.Image], Tensor]) -> Tensor:
    tensors = []
    for record in records:
        with Image.open(record.path) as image:
            tensors.append(convert(image))
    return torch.stack(tensors)

"""A training set: its records, labels and folds, and its photographs in memory."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dermtriage.core.enums import CLASSES
from dermtriage.core.errors import DermtriageError
from dermtriage_worker.ensemble.image.preprocessing import CANONICAL_SIZE, resample
from dermtriage_worker.evaluation.labelled import Labelled, read_labelled
from dermtriage_worker.training.folds import fold_lesions

HAM_METADATA = "HAM10000_metadata.csv"
HAM_IMAGES = "images_200x150"
ARCHIVE_METADATA = "metadata.csv"
HAM_ORIGIN = (
    "HAM10000 (Tschandl, Rosendahl, Kittler 2018, doi:10.7910/DVN/DBW86T)",
    "Weights derived from HAM10000, CC BY-NC 4.0: not for commercial use.",
)
ARCHIVE_ORIGIN = (
    "a download of the ISIC archive",
    "Weights derived from the ISIC archive: see the licences of the photographs.",
)
"""Name of a data set, and the licence of weights that were trained on it."""
FRAME_WIDTH = CANONICAL_SIZE * 4 // 3
"""Training keeps the whole 4:3 frame, so that zooming out shows real skin at the sides."""


class DataMissing(DermtriageError):
    """The training data is not where it was looked for."""

    code = "data_missing"


@dataclass(frozen=True)
class Sample:
    """Photographs in memory with their metadata and labels.

    Attributes
    ----------
    images
        uint8, shape (n, 3, h, w).
    patients
        Their metadata; see `metadata.encode`.
    labels
        Class indices, int64, shape (n,).
    """

    images: Tensor
    patients: Tensor
    labels: Tensor


def read_records(data: Path) -> list[Labelled]:
    """Read a training set, ordered by image id.

    Parameters
    ----------
    data
        HAM10000's folder (its metadata, and the photographs in `images_200x150` or below the
        folder itself), or a download of the ISIC archive (`metadata.csv` and the photographs).

    Raises
    ------
    DataMissing
        If the folder has neither metadata.
    LabelsInvalid
        If a photograph is missing or a class is unknown.
    """
    if (data / HAM_METADATA).is_file():
        # All in one resolution: a mixture of sizes would leak the class, which is correlated with
        # the number of photographs of a lesion.
        small = data / HAM_IMAGES
        return read_labelled(small if small.is_dir() else data, data / HAM_METADATA)
    if (data / ARCHIVE_METADATA).is_file():
        return read_labelled(data, data / ARCHIVE_METADATA)
    raise DataMissing(
        f"Neither {HAM_METADATA} nor {ARCHIVE_METADATA} is in {data}.",
        remedy="Give the folder of HAM10000, or of a download of the ISIC archive, by --data or"
        " DERMTRIAGE_DATA.",
    )


def origin(data: Path) -> tuple[str, str]:
    """Return the name of a folder's data set, and the licence of weights trained on it."""
    return HAM_ORIGIN if (data / HAM_METADATA).is_file() else ARCHIVE_ORIGIN


def assign_folds(records: Sequence[Labelled], *, folds: int, seed: int) -> list[int]:
    """Return the fold of each photograph, which is that of its lesion."""
    fold_of = fold_lesions(
        {record.lesion_id: record.diagnosis for record in records}, folds=folds, seed=seed
    )
    return [fold_of[record.lesion_id] for record in records]


def fingerprint(records: Sequence[Labelled]) -> str:
    """Return the SHA-256 over every photograph's id, lesion, class and bytes, in hexadecimal."""
    digest = hashlib.sha256()
    for record in records:
        content = hashlib.sha256(record.path.read_bytes()).hexdigest()
        line = f"{record.image_id},{record.lesion_id},{record.diagnosis},{content}\n"
        digest.update(line.encode())
    return digest.hexdigest()


def labels(records: Sequence[Labelled]) -> Tensor:
    """Return class indices, int64, shape (n,)."""
    return torch.tensor([CLASSES.index(record.diagnosis) for record in records])


def load_frames(records: Sequence[Labelled]) -> Tensor:
    """Load whole frames for training: uint8, shape (n, 3, 150, 200)."""
    tensors = []
    for record in records:
        with Image.open(record.path) as image:
            tensors.append(resample(image, FRAME_WIDTH, CANONICAL_SIZE))
    return torch.stack(tensors)

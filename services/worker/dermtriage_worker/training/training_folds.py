"""Which photographs a release was trained on, and the fold of each.

A release holds digests of their ids, not the ids. They suffice to refuse an evaluation on training
data, and to find the members that were not trained on a lesion.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load

from dermtriage_worker.ensemble.manifest import FileRef, Manifest
from dermtriage_worker.ensemble.packing import pack_tensors, read_verified

FOLDS_FILE = "folds.safetensors"

_DIGEST_BYTES = 8
"""Of the SHA-256: two of ten thousand ids collide by chance once in 10^11 releases."""


class TrainingFolds:
    """The training set of a release, by the digests of its image ids."""

    def __init__(self, folds: dict[bytes, int]) -> None:
        self._folds = folds

    @classmethod
    def of(cls, folder: Path, manifest: Manifest) -> "TrainingFolds":
        """Read the training set of a release; it is empty for a release that was not trained.

        Raises
        ------
        ReleaseInvalid
            If the file is missing or altered.
        """
        if manifest.training.image_folds is None:
            return cls({})
        tensors = load(read_verified(folder, manifest.training.image_folds, manifest.name))
        ids: NDArray[np.uint8] = tensors["image_ids"].numpy()
        return cls(
            {row.tobytes(): fold for row, fold in zip(ids, tensors["folds"].tolist(), strict=True)}
        )

    def fold_of(self, image_id: str) -> int | None:
        """Return the fold of a photograph; None if the release was not trained on it."""
        return self._folds.get(_digest(image_id))

    def __len__(self) -> int:
        return len(self._folds)


def pack_training_folds(folder: Path, image_ids: Sequence[str], folds: Sequence[int]) -> FileRef:
    """Write the fold of each photograph into a release's folder."""
    digests = np.frombuffer(b"".join(_digest(name) for name in image_ids), dtype=np.uint8)
    return pack_tensors(
        folder,
        FOLDS_FILE,
        {
            "image_ids": torch.from_numpy(digests.reshape(-1, _DIGEST_BYTES).copy()),
            "folds": torch.tensor(folds, dtype=torch.uint8),
        },
    )


def _digest(image_id: str) -> bytes:
    return hashlib.sha256(image_id.encode()).digest()[:_DIGEST_BYTES]

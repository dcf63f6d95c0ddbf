"""Draw photographs that have a segmentation mask of their lesion."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from dermtriage.core.errors import DermtriageError
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.evaluation.labelled import Labelled

MASK_FOLDER = "masks_200x150"
_MIN_PIXELS = 30
"""Smaller masks are annotation errors."""


class MasksMissing(DermtriageError):
    """There are no masks that heat maps can be measured on."""

    code = "masks_missing"


@dataclass(frozen=True, slots=True)
class MaskedPhotograph:
    """A photograph with the mask of its lesion.

    Attributes
    ----------
    record
        The photograph.
    mask
        Which pixels of the prepared square belong to the lesion: bool, shape (s, s).
    """

    record: Labelled
    mask: Tensor


def draw_masked(
    records: Sequence[Labelled], data: Path, ensemble: Ensemble, *, sample: int, seed: int
) -> tuple[list[MaskedPhotograph], list[MaskedPhotograph]]:
    """Draw photographs whose mask misses the centre, and photographs of any kind.

    Parameters
    ----------
    records
        Photographs of the data set.
    data
        Its folder, with `MASK_FOLDER`.
    ensemble
        Prepares the masks as it does photographs.
    sample
        Number of photographs to draw of each; fewer are returned if there are not as many.
    seed
        Of the order.

    Raises
    ------
    MasksMissing
        If there are no masks, or all of them cover the centre.
    """
    off_centre: list[MaskedPhotograph] = []
    of_any_kind: list[MaskedPhotograph] = []
    for index in np.random.default_rng(seed).permutation(len(records)):
        masked = _read(records[index], data, ensemble)
        if masked is None:
            continue
        if len(of_any_kind) < sample:
            of_any_kind.append(masked)
        if not _covers_centre(masked.mask):
            off_centre.append(masked)
        if len(off_centre) == sample:
            break
    if not off_centre:
        raise MasksMissing(
            f"There are no masks in {data / MASK_FOLDER} that miss the centre.",
            remedy="Put HAM10000's segmentation masks there, as <image id>_segmentation.png.",
        )
    return off_centre, of_any_kind


def _read(record: Labelled, data: Path, ensemble: Ensemble) -> MaskedPhotograph | None:
    path = data / MASK_FOLDER / f"{record.image_id}_segmentation.png"
    if not path.is_file():
        return None
    with Image.open(path) as image:
        mask = ensemble.prepare(image)[0] > 127
    return MaskedPhotograph(record, mask) if mask.sum() >= _MIN_PIXELS else None


def _covers_centre(mask: Tensor) -> bool:
    middle = len(mask) // 2
    return bool(mask[middle - 1 : middle + 1, middle - 1 : middle + 1].any())

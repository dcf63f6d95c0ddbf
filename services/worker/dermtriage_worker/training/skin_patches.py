"""Cut patches of plain skin out of photographs of lesions, from beside the lesion."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from dermtriage_worker.ensemble.image.preprocessing import CANONICAL_SIZE
from dermtriage_worker.ensemble.image.quality import measure_quality
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.training.data import load_frames

MASK_FOLDER = "masks_200x150"

_ENLARGED = (110, 90, 75)
_REPEATED = (100, 80, 60, 45)
"""Sides of the patches that are tried, in pixels of the frame. Half of the results are a patch
enlarged, which is blurred; the others are a patch continued by reflection, which is as sharp as a
photograph. So the detector can rely on neither blur nor symmetry."""

_GAP = 5
"""Pixels to keep from the lesion, whose rim the mask may cut off."""

_CORNER_CLEAR = 0.36
"""Without a mask, pixels farther from the centre than this count as skin; 1 is half the width."""

_MAX_CONTRAST = 0.3
"""A patch with more contrast shows something else: hair, ink, a border, another mole."""


def cut_skin_patches(records: Sequence[Labelled], data: Path, *, count: int, seed: int) -> Tensor:
    """Cut squares of plain skin.

    Parameters
    ----------
    records
        Photographs to cut from, in the order in which they are tried.
    data
        Their folder. Where it has segmentation masks, patches keep off the lesion; without, they
        are cut from the frame's outer parts.
    count
        Largest number of squares.

    Returns
    -------
    Tensor
        uint8, shape (n, 3, s, s); n is less than `count` if there are too few photographs.
    """
    generator = np.random.default_rng(seed)
    found: list[Tensor] = []
    for index, record in enumerate(records):
        if len(found) == count:
            break
        (frame,) = load_frames([record])
        enlarge = index % 2 == 0
        free = _skin_mask(record, data, frame.shape[1:])
        patch = _patch(frame, free, _ENLARGED if enlarge else _REPEATED, generator)
        if patch is None:
            continue
        square = _enlarged(patch) if enlarge else _mirrored(patch)
        (figures,) = measure_quality([square])
        if figures["lesion_contrast"] < _MAX_CONTRAST:
            found.append(square)
    if not found:
        return torch.zeros(0, 3, CANONICAL_SIZE, CANONICAL_SIZE, dtype=torch.uint8)
    return torch.stack(found)


def _skin_mask(record: Labelled, data: Path, shape: Sequence[int]) -> NDArray[np.bool_]:
    height, width = shape
    path = data / MASK_FOLDER / f"{record.image_id}_segmentation.png"
    if path.is_file():
        with Image.open(path) as image:
            lesion = np.asarray(image.convert("L").resize((width, height))) > 127
        grown = functional.max_pool2d(
            torch.from_numpy(lesion).float()[None, None], 2 * _GAP + 1, 1, _GAP
        )
        free: NDArray[np.bool_] = grown[0, 0].numpy() == 0
        return free
    across = np.linspace(-1, 1, width)[None, :]
    down = np.linspace(-1, 1, height)[:, None] * height / width
    outer: NDArray[np.bool_] = np.maximum(np.abs(across), np.abs(down)) > _CORNER_CLEAR
    return outer


def _patch(
    frame: Tensor, free: NDArray[np.bool_], sides: Sequence[int], generator: np.random.Generator
) -> Tensor | None:
    """Cut the largest of the squares that lies on free pixels alone, at a random place."""
    taken = np.pad(~free, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    for side in sides:
        inside = (
            taken[side:, side:] - taken[:-side, side:] - taken[side:, :-side]
            + taken[:-side, :-side]
        )  # fmt: skip
        places = np.argwhere(inside == 0)
        if len(places):
            top, left = places[generator.integers(len(places))]
            return frame[:, top : top + side, left : left + side]
    return None


def _enlarged(patch: Tensor) -> Tensor:
    size = (CANONICAL_SIZE, CANONICAL_SIZE)
    large = functional.interpolate(patch.float()[None], size, mode="bicubic", antialias=True)
    return large[0].clamp(0, 255).round().to(torch.uint8)


def _mirrored(patch: Tensor) -> Tensor:
    values = patch.float()[None]
    while values.shape[-1] < CANONICAL_SIZE:
        margin = (values.shape[-1] - 1,) * 4
        values = functional.pad(values, margin, mode="reflect")
    start = (values.shape[-1] - CANONICAL_SIZE) // 2
    end = start + CANONICAL_SIZE
    return values[0, :, start:end, start:end].to(torch.uint8)

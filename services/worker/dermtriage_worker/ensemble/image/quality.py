"""Measure image quality (sharpness, exposure, framing) on prepared squares.

They never change a severity score. `dermtriage.imaging.retake_advice` turns them into advice.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dermtriage_worker.ensemble.image.skin import (
    CELL,
    average_cells,
    dilate,
    find_skin,
    grey_levels,
    inside_borders,
)

_CLIPPED_DARK = 0.06
"""Grey level below which a pixel has no detail left."""
_CLIPPED_BRIGHT = 247
"""Red, green and blue all above this (of 255): the pixel has no detail left either."""
_AT_ONCE = 8
"""Photographs that are measured together. Each torch call releases and reacquires Python's global
lock, so fewer calls wait less; more photographs would not fit into the processor's caches."""
_BOX = 5
"""Side of the blur in pixels."""
_FLAT = 1e-4
"""Mean gradient below which a picture is one even area."""


FindBorders = Callable[[Tensor], Mapping[int, NDArray[np.bool_]]]


def measure_quality(
    squares: Sequence[Tensor], find_borders: FindBorders = inside_borders
) -> list[dict[str, float]]:
    """Measure sharpness, exposure and framing of prepared squares, inside their black borders.

    Parameters
    ----------
    squares
        uint8, each of shape (3, s, s); not empty.
    find_borders
        Finds the black borders; see `inside_borders`.

    Returns
    -------
    list of dict
        For each square:

        - `sharpness`: share of the local variation that a small blur removes, 0..1 (after Crete
          and others 2007); from a blurred picture it removes little.
        - `brightness`: mean grey level, 0..1.
        - `contrast`: standard deviation of the grey levels, 0..0.5.
        - `dark_share`, `bright_share`: share of pixels without any detail left, 0..1.
        - `lesion_contrast`: greatest distance in RGB from the skin's colour, 0..1.7.
        - `lesion_share`: share of the photograph that differs clearly from skin, 0..1.
        - `off_centre`: distance of that part's centre from the photograph's; 1 is the edge.
        - `edge_share`: share of the photograph's edge that differs clearly from skin, 0..1.
    """
    few = (squares[start : start + _AT_ONCE] for start in range(0, len(squares), _AT_ONCE))
    measured = [_measure(torch.stack(list(some)), find_borders) for some in few]
    pixels, cells, share = (torch.cat(parts) for parts in zip(*measured, strict=True))
    return [
        {**_of_pixels(*means), **framing}
        for means, framing in zip(pixels.tolist(), _framing(cells, share), strict=True)
    ]


def _of_pixels(
    variation: float, blurred: float, brightness: float, variance: float, dark: float, bright: float
) -> dict[str, float]:
    """Compute a photograph's figures from means over its pixels."""
    return {
        # A picture without any variation counts as blurred.
        "sharpness": 1 - blurred / variation if variation > _FLAT else 0.0,
        "brightness": brightness,
        "contrast": math.sqrt(variance),
        "dark_share": dark,
        "bright_share": bright,
    }


def _measure(squares: Tensor, find_borders: FindBorders) -> tuple[Tensor, Tensor, Tensor]:
    """Average over the pixels of a few photographs.

    Parameters
    ----------
    squares
        uint8, shape (n, 3, s, s).

    Returns
    -------
    tuple
        Means over pixels, in the order of `_of_pixels`, shape (n, 6); and what `find_skin` takes.
    """
    values = squares.float().div_(255)
    grey = grey_levels(values)
    inside = find_borders(grey)
    cells, share = _cells(values, inside)
    weights = {index: _weights(own) for index, own in inside.items()}
    # The blur moves a border's edge three pixels inwards.
    within = {index: _weights(~dilate(~own, 3)[1:-1, 1:-1]) for index, own in inside.items()}
    brightness = _mean(grey, weights)
    means = (
        _mean(_gradient(grey), within),
        _mean(_gradient(_box_sums(grey)), within) / _BOX**2,
        brightness,
        _mean((grey - brightness[:, None, None]).square_(), weights),
        # In place, a comparison gives floats, whose mean is several times as fast as of bools.
        _mean(grey.lt_(_CLIPPED_DARK), weights),
        _mean(squares.amin(1).gt_(_CLIPPED_BRIGHT), weights),
    )
    return torch.stack(means, 1), cells, share


def _cells(values: Tensor, inside: Mapping[int, NDArray[np.bool_]]) -> tuple[Tensor, Tensor]:
    """Make the input of `find_skin`; sets `values` to black outside the border."""
    side = values.shape[-1] // CELL
    share = values.new_ones(len(values), side, side)
    for index, own in inside.items():
        mask = torch.from_numpy(own.astype(np.float32))
        values[index] *= mask
        share[index] = average_cells(mask[None])[0]
    return average_cells(values), share


def _weights(chosen: NDArray[np.bool_]) -> Tensor:
    """Return equal weights for the chosen pixels that sum to one: shape (h, w)."""
    return torch.from_numpy(chosen.astype(np.float32) / max(1, int(chosen.sum())))


def _mean(values: Tensor, weights: Mapping[int, Tensor]) -> Tensor:
    """Average over each photograph's pixels, weighted where there are weights: shape (n,)."""
    means = values.mean((1, 2), dtype=torch.float32)
    for index, own in weights.items():
        means[index] = (values[index] * own).sum()
    return means


def _box_sums(grey: Tensor) -> Tensor:
    """Sum over the box around each pixel: shape (n, s, s)."""
    padded = functional.pad(grey, (_BOX // 2,) * 4, mode="reflect")
    # On CPUs pooling layers are many times slower on a single channel.
    return padded.unfold(1, _BOX, 1).sum(-1).unfold(2, _BOX, 1).sum(-1)


def _gradient(grey: Tensor) -> Tensor:
    across = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
    down = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    squares = across.square_().addcmul_(down, down).numpy()
    # torch's square root is up to ten times slower on denormal numbers, as in a flat picture.
    return torch.from_numpy(np.sqrt(squares, out=squares))


def _framing(cells: Tensor, share: Tensor) -> list[dict[str, float]]:
    """Measure where and how much differs from the skin; for cells as `find_skin` takes them."""
    cells, seen, skin = find_skin(cells, share)
    distance = (cells - skin[:, :, None, None]).square().sum(1).sqrt() * seen
    # Lesions are mostly darker than skin; glare and gel are brighter.
    darker = cells.mean(1) < skin.mean(1)[:, None, None]
    distance = torch.where(darker, distance, distance / 2)
    contrast = distance.amax((1, 2))
    standing_out = distance > contrast[:, None, None] / 2
    weights = distance * standing_out
    axis = torch.linspace(-1, 1, distance.shape[-1])
    total = weights.sum((1, 2)).clamp_min(1e-6)
    off_centre = torch.hypot((weights.sum(1) * axis).sum(1), (weights.sum(2) * axis).sum(1)) / total
    edge = seen.clone()
    edge[:, 1:-1, 1:-1] = False
    figures = {
        "lesion_contrast": contrast,
        "lesion_share": _share(standing_out, seen),
        "off_centre": off_centre,
        "edge_share": _share(standing_out, edge),
    }
    rows = torch.stack(list(figures.values()), 1).tolist()
    return [dict(zip(figures, row, strict=True)) for row in rows]


def _share(chosen: Tensor, among: Tensor) -> Tensor:
    """Share of cells among others, 0 where there are none: shape (n,)."""
    return (chosen & among).sum((1, 2)) / among.sum((1, 2)).clamp_min(1)

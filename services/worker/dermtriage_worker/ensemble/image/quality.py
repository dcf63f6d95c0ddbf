"""Cheap figures of photographs' quality, from the prepared squares. Advice, never a verdict.

What they mean to a clinic, and from which figure on, is said in `dermtriage.quality`.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dermtriage_worker.ensemble.image.skin import (
    CELL,
    average_cells,
    grey_levels,
    inside_borders,
    skin_among,
    widened,
)

_CLIPPED_DARK = 0.06
"""Grey level below which a pixel has no detail left."""
_CLIPPED_BRIGHT = 247
"""Of 255: nor has a pixel any whose red, green and blue are all above it."""
_AT_ONCE = 8
"""Photographs whose pixels are gone through together. Each call gives up Python's lock and waits
for it again, so one by one they wait the longest; many at once fall out of the processor's caches.
"""
_BOX = 5
"""Side of the blur in pixels."""
_FLAT = 1e-4
"""Mean gradient below which a picture is one even area."""


def measure_quality(squares: Sequence[Tensor]) -> list[dict[str, float]]:
    """Sharpness, exposure and framing of prepared squares; round black borders are left out.

    Parameters
    ----------
    squares
        uint8, each of shape (3, s, s); not empty.

    Returns
    -------
    list of dict
        For each square: `sharpness`: share of the local variation that a further small blur takes
        away, 0..1 (after Crete and others 2007); little is left to take where the picture is
        blurred. `brightness`: mean grey level, 0..1. `contrast`: its standard deviation, 0..0.5.
        `dark_share`, `bright_share`: of pixels without any detail left, 0..1.
        `lesion_contrast`: distance in RGB between skin and what stands out most, 0..1.7.
        `lesion_share`: of the photograph that stands out, 0..1.
        `off_centre`: from the centre to the middle of what stands out; 1 is the edge.
        `edge_share`: of the photograph's edge that stands out, 0..1.
    """
    few = (squares[start : start + _AT_ONCE] for start in range(0, len(squares), _AT_ONCE))
    measured = [_measure(torch.stack(list(some))) for some in few]
    pixels, cells, share = (torch.cat(parts) for parts in zip(*measured, strict=True))
    return [
        {**_of_pixels(*means), **framing}
        for means, framing in zip(pixels.tolist(), _framing(cells, share), strict=True)
    ]


def _of_pixels(
    variation: float, blurred: float, brightness: float, variance: float, dark: float, bright: float
) -> dict[str, float]:
    """Turn the means over a photograph's pixels into figures."""
    return {
        # What has no variation at all has nothing sharp in it.
        "sharpness": 1 - blurred / variation if variation > _FLAT else 0.0,
        "brightness": brightness,
        "contrast": math.sqrt(variance),
        "dark_share": dark,
        "bright_share": bright,
    }


def _measure(squares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Go through the pixels of a few photographs.

    Parameters
    ----------
    squares
        uint8, shape (n, 3, s, s).

    Returns
    -------
    tuple
        Means over pixels, in the order of `_of_pixels`, shape (n, 6); and what `skin_among` takes.
    """
    values = squares.float().div_(255)
    grey = grey_levels(values)
    inside = inside_borders(grey)
    cells, share = _cells(values, inside)
    weights = {index: _weights(own) for index, own in inside.items()}
    # The blur carries a border's edge three pixels inwards.
    within = {index: _weights(~widened(~own, 3)[1:-1, 1:-1]) for index, own in inside.items()}
    brightness = _mean(grey, weights)
    means = (
        _mean(_gradient(grey), within),
        _mean(_gradient(_box_sums(grey)), within) / _BOX**2,
        brightness,
        _mean((grey - brightness[:, None, None]).square_(), weights),
        # Comparing in place gives numbers; truth values take several times as long to count.
        _mean(grey.lt_(_CLIPPED_DARK), weights),
        _mean(squares.amin(1).gt_(_CLIPPED_BRIGHT), weights),
    )
    return torch.stack(means, 1), cells, share


def _cells(values: Tensor, inside: Mapping[int, NDArray[np.bool_]]) -> tuple[Tensor, Tensor]:
    """Make what `skin_among` takes; `values` become black outside of `inside`."""
    side = values.shape[-1] // CELL
    share = values.new_ones(len(values), side, side)
    for index, own in inside.items():
        mask = torch.from_numpy(own.astype(np.float32))
        values[index] *= mask
        share[index] = average_cells(mask[None])[0]
    return average_cells(values), share


def _weights(chosen: NDArray[np.bool_]) -> Tensor:
    """Weigh each chosen pixel the same, and all of them together 1: shape (h, w)."""
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
    # Pooling layers take many times as long over a single channel on CPUs.
    return padded.unfold(1, _BOX, 1).sum(-1).unfold(2, _BOX, 1).sum(-1)


def _gradient(grey: Tensor) -> Tensor:
    across = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
    down = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    squares = across.square_().addcmul_(down, down).numpy()
    # Torch takes up to ten times as long over square roots where a picture is flat.
    return torch.from_numpy(np.sqrt(squares, out=squares))


def _framing(cells: Tensor, share: Tensor) -> list[dict[str, float]]:
    """Tell where what stands out from the skin lies; for cells as `skin_among` takes them."""
    cells, seen, skin = skin_among(cells, share)
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

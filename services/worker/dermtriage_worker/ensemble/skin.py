"""Where photographs show anything at all, and which colour their skin has; by colour alone.

Everything here is of n photographs with s pixels a side.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

_GREY = (0.299, 0.587, 0.114)
CELL = 5
"""Skin and lesions are looked for in cells of so many pixels: hairs vanish, and it costs little."""

_BLACK = 0.15
"""Grey level below which a pixel may belong to a dermatoscope's round border."""
_BORDER_SHARE = 0.1
"""From where on outwards each ring has this share of black pixels, a border begins."""
_INNERMOST_BORDER = 0.35
"""Of the side: a border that comes nearer to the centre is none, but a dark photograph."""
_SKIN_QUANTILE = 0.7
"""Skin is what is brighter than this share of the photograph."""


def grey_levels(values: Tensor) -> Tensor:
    """Return the grey levels of RGB values, shape (n, 3, s, s): shape (n, s, s)."""
    red, green, blue = _GREY
    return values[:, 0] * red + values[:, 1] * green + values[:, 2] * blue


def inside_border(grey: Tensor) -> Tensor:
    """Return which pixels do not belong to a dermatoscope's round black border.

    Parameters
    ----------
    grey
        Grey levels in 0..1, shape (n, s, s).

    Returns
    -------
    Tensor
        bool, shape (n, s, s); all of a photograph's where there is no such border.
    """
    side = grey.shape[-1]
    radius, ring, pixels = _rings(side)
    black = grey < _BLACK
    inside = torch.ones_like(black)
    # Most photographs have nothing black at their edge, and the rings take their time.
    dark = torch.nonzero(black[:, radius >= side / 2].any(1)).flatten()
    for index in dark.tolist():
        share = torch.bincount(ring, black[index].flatten().float()) / pixels
        clear = torch.nonzero(share < _BORDER_SHARE).flatten()
        begin = int(clear[-1]) + 1 if len(clear) else 0
        if begin >= _INNERMOST_BORDER * side:
            # What touches the border is half in its shadow, so it is widened by two pixels.
            inside[index] = ~widened(black[index] & (radius >= begin), 2)
    return inside


def widened(chosen: Tensor, pixels: int) -> Tensor:
    """Return what is chosen and all within so many pixels beside it: bool, (..., h, w)."""
    padded = functional.pad(chosen.float(), (pixels,) * 4)
    return box_sum(padded, 2 * pixels + 1) > 0


def box_sum(values: Tensor, side: int) -> Tensor:
    """Sum over each square of `side` pixels: shape (..., h - side + 1, w - side + 1)."""
    # Pooling layers take many times as long over a single channel on CPUs.
    return values.unfold(-2, side, 1).sum(-1).unfold(-1, side, 1).sum(-1)


@cache
def _rings(side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each pixel's distance from the centre, the number of its ring, and each ring's pixels."""
    axis = torch.arange(side) - (side - 1) / 2
    radius = torch.hypot(axis[:, None], axis[None, :])
    ring = radius.long().flatten()
    return radius, ring, torch.bincount(ring)


def skin_cells(values: Tensor, inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Average photographs over cells, and find the colour of their skin.

    Parameters
    ----------
    values
        0..1, shape (n, 3, s, s).
    inside
        As `inside_border` returns it.

    Returns
    -------
    tuple
        Colours of the cells, shape (n, 3, c, c); which of them lie inside, shape (n, c, c); and
        the skin's colour, shape (n, 3): the median of the brighter cells.
    """
    share = functional.avg_pool2d(inside.float(), CELL)
    cells = functional.avg_pool2d(values * inside[:, None], CELL)
    cells = cells / share[:, None].clamp_min(1e-6)
    seen = share > 0.5
    grey = cells.mean(1).flatten(1).masked_fill(~seen.flatten(1), torch.nan)
    bright = grey >= torch.nanquantile(grey, _SKIN_QUANTILE, dim=1, keepdim=True)
    skin = cells.flatten(2).masked_fill(~bright[:, None], torch.nan).nanmedian(2).values
    return cells, seen, skin

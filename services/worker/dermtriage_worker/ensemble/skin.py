"""Where a photograph shows anything at all, and which colour its skin has; by colour alone."""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

GREY = (0.299, 0.587, 0.114)
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


def inside_border(grey: Tensor) -> Tensor:
    """Return which pixels do not belong to a dermatoscope's round black border.

    Parameters
    ----------
    grey
        Grey levels in 0..1, shape (s, s).

    Returns
    -------
    Tensor
        bool, shape (s, s); all of them where there is no such border.
    """
    side = grey.shape[-1]
    radius, ring, pixels = _rings(side)
    black = grey < _BLACK
    share = torch.bincount(ring, black.flatten().float()) / pixels
    clear = torch.nonzero(share < _BORDER_SHARE).flatten()
    begin = int(clear[-1]) + 1 if len(clear) else 0
    if begin < _INNERMOST_BORDER * side:
        return torch.ones_like(black)
    # What touches the border is half in its shadow, so it is widened by two pixels.
    return ~widened(black & (radius >= begin), 2)


def widened(chosen: Tensor, pixels: int) -> Tensor:
    """Return what is chosen, and all within a square of so many pixels around: bool, (h, w)."""
    padded = functional.pad(chosen.float(), (pixels,) * 4)
    return box_sum(padded, 2 * pixels + 1) > 0


def box_sum(values: Tensor, side: int) -> Tensor:
    """Sum over each square of `side` pixels: shape (h - side + 1, w - side + 1)."""
    # Pooling layers take many times as long over a single channel on CPUs.
    return values.unfold(0, side, 1).sum(-1).unfold(1, side, 1).sum(-1)


@cache
def _rings(side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each pixel's distance from the centre, the number of its ring, and each ring's pixels."""
    axis = torch.arange(side) - (side - 1) / 2
    radius = torch.hypot(axis[:, None], axis[None, :])
    ring = radius.long().flatten()
    return radius, ring, torch.bincount(ring)


def skin_cells(values: Tensor, inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Average a photograph over cells, and find the colour of its skin.

    Parameters
    ----------
    values
        0..1, shape (3, s, s).
    inside
        As `inside_border` returns it.

    Returns
    -------
    tuple
        Colours of the cells, shape (3, c, c); which of them lie inside; and the skin's colour,
        shape (3,): the median of the brighter cells.
    """
    share = functional.avg_pool2d(inside.float()[None], CELL)[0]
    cells = functional.avg_pool2d((values * inside)[None], CELL)[0] / share.clamp_min(1e-6)
    seen = share > 0.5
    grey = cells.mean(0)
    bright = seen & (grey >= torch.quantile(grey[seen], _SKIN_QUANTILE))
    return cells, seen, cells[:, bright].median(1).values

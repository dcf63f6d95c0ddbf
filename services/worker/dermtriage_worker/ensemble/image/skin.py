"""Where photographs show anything at all, and which colour their skin has; by colour alone.

Everything here is of n photographs with s pixels a side.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
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
    red, green, blue = values.unbind(1)
    of_red, of_green, of_blue = _GREY
    return (red * of_red).add_(green, alpha=of_green).add_(blue, alpha=of_blue)


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
    inside = torch.ones_like(grey, dtype=torch.bool)
    for index, own in inside_borders(grey).items():
        inside[index] = torch.from_numpy(own)
    return inside


def inside_borders(grey: Tensor) -> dict[int, NDArray[np.bool_]]:
    """Find the photographs that have a dermatoscope's round black border.

    Parameters
    ----------
    grey
        Grey levels in 0..1, shape (n, s, s).

    Returns
    -------
    dict
        For the number of each photograph with a border, and for no other: which of its pixels do
        not belong to the border, shape (s, s).
    """
    side = grey.shape[-1]
    radius, ring, pixels, outermost = _rings(side)
    # Most photographs have no black corner, and the rings take their time.
    corners = grey.flatten(1)[:, outermost].amin(1).tolist()
    found = {}
    for index in (index for index, level in enumerate(corners) if level < _BLACK):
        black = grey[index].numpy() < _BLACK
        share = np.bincount(ring[black], minlength=len(pixels)) / pixels
        clear = np.flatnonzero(share < _BORDER_SHARE)
        begin = clear[-1] + 1 if len(clear) else 0
        if begin >= _INNERMOST_BORDER * side:
            # What touches the border is half in its shadow, so it is widened by two pixels.
            found[index] = ~widened(black & (radius >= begin), 2)
    return found


def widened(chosen: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Return what is chosen and all within so many pixels beside it: shape (h, w)."""
    across = chosen.copy()
    for step in range(1, pixels + 1):
        across[:, step:] |= chosen[:, :-step]
        across[:, :-step] |= chosen[:, step:]
    around = across.copy()
    for step in range(1, pixels + 1):
        around[step:] |= across[:-step]
        around[:-step] |= across[step:]
    return around


@cache
def _rings(side: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], Tensor]:
    """Rings around the centre, each a pixel wide.

    Returns
    -------
    tuple
        Each pixel's distance from the centre and the number of its ring, shape (s, s); each
        ring's pixels; and the places of those of the outermost ring among all s * s.
    """
    axis = np.arange(side, dtype=np.float32) - (side - 1) / 2
    radius = np.hypot(axis[:, None], axis[None, :])
    ring = radius.astype(np.int64)
    outermost = np.flatnonzero(ring == ring.max())
    return radius, ring, np.bincount(ring.flatten()), torch.from_numpy(outermost)


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
        As `skin_among` returns it.
    """
    return skin_among(average_cells(values * inside[:, None]), average_cells(inside.float()))


def average_cells(values: Tensor) -> Tensor:
    """Average over cells: shape (n, s, s) or (n, m, s, s) becomes (n, c, c) or (n, m, c, c)."""
    return functional.avg_pool2d(values, CELL)


def skin_among(cells: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the colour of the skin among averages over cells.

    Parameters
    ----------
    cells
        Colours, 0..1, shape (n, 3, c, c); averaged with black for what is not inside the border.
    share
        How much of each cell is inside, 0..1, shape (n, c, c).

    Returns
    -------
    tuple
        Colours of what is inside, shape (n, 3, c, c); which cells are so for the most part, shape
        (n, c, c); and the skin's colour, shape (n, 3): the median of the brighter cells.
    """
    cells = cells / share[:, None].clamp_min(1e-6)
    seen = share > 0.5
    grey = cells.mean(1).flatten(1).masked_fill(~seen.flatten(1), torch.nan)
    bright = grey >= torch.nanquantile(grey, _SKIN_QUANTILE, dim=1, keepdim=True)
    # NumPy sorts in a twentieth of torch's time, and in a fifth of its median's.
    ordered = np.sort(cells.flatten(2).masked_fill(~bright[:, None], torch.inf).numpy())
    middle = (bright.sum(1) - 1) // 2
    skin = torch.from_numpy(ordered).gather(2, middle[:, None, None].expand(-1, 3, 1))
    return cells, seen, skin[:, :, 0]

"""The black border of a dermatoscope and the colour of the skin, found by colour alone.

Shapes: n photographs of s x s pixels, averaged over c x c cells.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_GREY = (0.299, 0.587, 0.114)
CELL = 5
"""Side of a cell in pixels. Skin and lesions are found in averages over cells: hairs vanish there,
and there are few of them."""

_BLACK = 0.15
"""Grey level below which a pixel may belong to a dermatoscope's round border."""
_BORDER_SHARE = 0.1
"""A border begins at the ring from which on every ring has at least this share of black pixels."""
_INNERMOST_BORDER = 0.35
"""Least inner radius of a border, in sides; what is nearer to the centre is a dark photograph."""
_SKIN_QUANTILE = 0.7
"""Skin is what is brighter than this share of the cells."""


def grey_levels(values: Tensor) -> Tensor:
    """Return the grey levels of RGB values, shape (n, 3, s, s): shape (n, s, s)."""
    red, green, blue = values.unbind(1)
    of_red, of_green, of_blue = _GREY
    return (red * of_red).add_(green, alpha=of_green).add_(blue, alpha=of_blue)


def inside_border(grey: Tensor) -> Tensor:
    """Return which pixels are inside a dermatoscope's round black border.

    Parameters
    ----------
    grey
        Grey levels in 0..1, shape (n, s, s).

    Returns
    -------
    Tensor
        bool, shape (n, s, s); true everywhere for a photograph without a border.
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
        By the index of each photograph that has a border: which of its pixels are inside it,
        shape (s, s).
    """
    side = grey.shape[-1]
    radius, ring, pixels, outermost = _rings(side)
    # Only photographs with a black corner can have a border; most have none.
    corners = grey.flatten(1)[:, outermost].amin(1).tolist()
    found = {}
    for index in (index for index, level in enumerate(corners) if level < _BLACK):
        black = grey[index].numpy() < _BLACK
        share = np.bincount(ring[black], minlength=len(pixels)) / pixels
        clear = np.flatnonzero(share < _BORDER_SHARE)
        begin = clear[-1] + 1 if len(clear) else 0
        if begin >= _INNERMOST_BORDER * side:
            # Pixels that touch the border are half in its shadow.
            found[index] = ~dilate(black & (radius >= begin), 2)
    return found


def dilate(chosen: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Dilate a mask by a square of `2 * pixels + 1`: shape (h, w)."""
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
        Each pixel's distance from the centre and the index of its ring, shape (s, s); the number
        of pixels of each ring; and the flat indices of the outermost ring's pixels.
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
        As `find_skin` returns it.
    """
    return find_skin(average_cells(values * inside[:, None]), average_cells(inside.float()))


def average_cells(values: Tensor) -> Tensor:
    """Average over cells: shape (n, s, s) or (n, m, s, s) becomes (n, c, c) or (n, m, c, c)."""
    return functional.avg_pool2d(values, CELL)


def find_skin(cells: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the colour of the skin from averages over cells.

    Parameters
    ----------
    cells
        Colours, 0..1, shape (n, 3, c, c); pixels outside the border are averaged in as black.
    share
        Share of each cell that is inside the border, 0..1, shape (n, c, c).

    Returns
    -------
    tuple
        Colours of the part inside, shape (n, 3, c, c); which cells are mostly inside, shape
        (n, c, c); and the skin's colour, shape (n, 3): the median of the brighter cells.
    """
    cells = cells / share[:, None].clamp_min(1e-6)
    seen = share > 0.5
    grey = cells.mean(1).flatten(1).masked_fill(~seen.flatten(1), torch.nan)
    bright = grey >= torch.nanquantile(grey, _SKIN_QUANTILE, dim=1, keepdim=True)
    # NumPy sorts 20 times as fast as torch on a CPU, and 5 times as fast as torch's median.
    ordered = np.sort(cells.flatten(2).masked_fill(~bright[:, None], torch.inf).numpy())
    middle = (bright.sum(1) - 1) // 2
    skin = torch.from_numpy(ordered).gather(2, middle[:, None, None].expand(-1, 3, 1))
    return cells, seen, skin[:, :, 0]

"""Draw a heat map over its photograph."""

import io

import numpy as np
from PIL import Image
from torch import Tensor

from dermtriage.imaging.rendition import open_rendition

LONGEST_SIDE = 640
"""Of the picture, in pixels: a heat map has no finer detail."""

_STRONGEST = 0.6
"""Opacity at the hottest place; the lesion stays visible."""
_COLD, _HOT = (200.0, 0.0, 60.0), (255.0, 225.0, 0.0)
"""Red and yellow differ in brightness too, for people who cannot tell the colours apart."""


def overlay(rendition: bytes, heat: Tensor) -> bytes:
    """Draw a heat map over the part of a photograph that was scored.

    Parameters
    ----------
    rendition
        As `imaging.make_rendition` makes it.
    heat
        0..1, shape (s, s): of the photograph's centred square.

    Returns
    -------
    bytes
        JPEG.
    """
    picture = open_rendition(rendition)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    small = Image.fromarray(heat.clamp(0, 1).numpy())
    warmth = np.asarray(small.resize((side, side), Image.Resampling.BILINEAR))[..., None]
    colour = np.array(_COLD) * (1 - warmth) + np.array(_HOT) * warmth
    square = picture.crop((left, top, left + side, top + side))
    opacity = _STRONGEST * warmth
    blended = np.asarray(square) * (1 - opacity) + colour * opacity
    picture.paste(Image.fromarray(blended.round().astype(np.uint8)), (left, top))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()

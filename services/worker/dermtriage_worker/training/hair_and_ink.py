"""Draw hairs and ink marks as masks of curved strokes."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

_OVERSAMPLING = 4
"""Strokes are drawn this much larger and shrunk, so that thin ones are smooth."""

_POINTS = 24


@dataclass(frozen=True)
class StrokeKind:
    """Ranges of the number of strokes of a mask, and of their width and length in sides of it."""

    count: tuple[int, int]
    width: tuple[float, float]
    length: tuple[float, float]
    bend: float


HAIRS = StrokeKind(count=(4, 40), width=(0.004, 0.014), length=(0.25, 1.1), bend=0.25)
INK = StrokeKind(count=(1, 3), width=(0.02, 0.05), length=(0.2, 0.7), bend=0.5)


def draw_strokes(kind: StrokeKind, count: int, size: int, *, seed: int) -> Tensor:
    """Draw masks of strokes.

    Parameters
    ----------
    kind
        Hairs or ink.
    count
        Number of masks.
    size
        Side of a mask in pixels.
    seed
        The same seed gives the same masks.

    Returns
    -------
    Tensor
        Opacity, uint8, shape (count, size, size).
    """
    generator = np.random.default_rng(seed)
    return torch.stack([_mask(kind, size, generator) for _ in range(count)])


def _mask(kind: StrokeKind, size: int, generator: np.random.Generator) -> Tensor:
    side = size * _OVERSAMPLING
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    for _ in range(generator.integers(kind.count[0], kind.count[1] + 1)):
        middle = generator.uniform(-0.1, 1.1, 2)
        angle = generator.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        length = generator.uniform(*kind.length)
        bend = generator.uniform(-kind.bend, kind.bend) * length
        position = np.linspace(-1, 1, _POINTS)[:, None]
        curve = middle + along * position * length / 2 + across * (1 - position**2) * bend
        width = max(1, round(generator.uniform(*kind.width) * side))
        points = [(float(x), float(y)) for x, y in curve * side]
        draw.line(points, fill=255, width=width, joint="curve")
    small = mask.resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small))

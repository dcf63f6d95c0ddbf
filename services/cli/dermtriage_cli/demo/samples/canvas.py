"""The sheet that samples are drawn on: noise, soft regions, strokes and dots as float fields."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Field = NDArray[np.float32]
"""Height x width values, one a pixel."""

Points = NDArray[np.float64]
"""Positions in pixels, shape (n, 2), x before y."""

WIDTH, HEIGHT = 600, 450

X, Y = np.meshgrid(
    np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32), indexing="xy"
)

_OVERSAMPLING = 2


def blank() -> Field:
    """Return a field of zeros."""
    return np.zeros((HEIGHT, WIDTH), np.float32)


def noise(rng: np.random.Generator, cell: float, octaves: int = 1) -> Field:
    """Return smooth noise with mean 0 and a standard deviation near 1.

    Parameters
    ----------
    cell
        Size of the largest features, in pixels.
    octaves
        How many times features of half the size and half the strength are added.
    """
    total, weight = blank(), 0.0
    for octave in range(octaves):
        size = cell / 2**octave
        # A cell of margin on each side: the edge of a bicubic surface is flat.
        grid = rng.standard_normal(
            (int(HEIGHT / size) + 4, int(WIDTH / size) + 4), dtype=np.float32
        )
        left, top = 1 + rng.random(2)
        box = (left, top, left + WIDTH / size, top + HEIGHT / size)
        surface = Image.fromarray(grid).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=box)
        total += np.asarray(surface) / 2**octave
        weight += 0.25**octave
    # Interpolation between independent values flattens them to about 0.75 of their spread.
    return total * np.float32(1.35 / weight**0.5)


def step(field: Field, at: float, width: float) -> Field:
    """Return 0 below and 1 above a level, with a smooth passage of that width."""
    t = np.clip((field - np.float32(at - width / 2)) / np.float32(width), 0, 1)
    smooth: Field = t * t * (3 - 2 * t)
    return smooth


def distance(centre: tuple[float, float]) -> Field:
    """Return how far each pixel is from a point."""
    apart: Field = np.sqrt(
        np.square(X - np.float32(centre[0])) + np.square(Y - np.float32(centre[1]))
    )
    return apart


def lattice(rng: np.random.Generator, spacing: float) -> Field:
    """Return a net as melanocytes make it: 1 on the lines, 0 in the holes, never quite regular.

    Parameters
    ----------
    spacing
        Distance between neighbouring holes, in pixels.
    """
    bend = np.float32(spacing * 0.45)
    x = X + bend * noise(rng, spacing * 2.5, 2)
    y = Y + bend * noise(rng, spacing * 2.5, 2)
    turn = rng.random() * np.pi
    waves = 0.5 * noise(rng, spacing * 1.5)
    for angle in turn + np.pi / 3 * np.arange(3):
        pace = 4 * np.pi / (np.sqrt(3) * spacing)
        waves += np.cos(np.float32(pace * np.cos(angle)) * x + np.float32(pace * np.sin(angle)) * y)
    return 1 - step(waves, 0.3, 2.6)


def strokes(lines: Iterable[tuple[Points, float, float]]) -> Field:
    """Draw lines, each (points, width at its start, width at its end), as coverage 0 to 1."""
    sheet, pen = _sheet()
    for points, start, end in lines:
        scaled = points * _OVERSAMPLING
        widths = np.linspace(start, end, len(points) - 1) * _OVERSAMPLING
        for a, b, width in zip(scaled[:-1], scaled[1:], widths, strict=True):
            pen.line((*a, *b), fill=255, width=max(1, round(width)))
    return _coverage(sheet)


def dots(centres: Points, radii: NDArray[np.float64]) -> Field:
    """Draw filled circles as coverage 0 to 1."""
    sheet, pen = _sheet()
    for centre, radius in zip(centres * _OVERSAMPLING, radii * _OVERSAMPLING, strict=True):
        pen.circle((centre[0], centre[1]), radius, fill=255)
    return _coverage(sheet)


def curve(start: Points, bend: Points, end: Points, pieces: int = 24) -> Points:
    """Return points of a quadratic Bezier curve."""
    t = np.linspace(0, 1, pieces)[:, None]
    points: Points = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
    return points


def _sheet() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    sheet = Image.new("L", (WIDTH * _OVERSAMPLING, HEIGHT * _OVERSAMPLING))
    return sheet, ImageDraw.Draw(sheet)


def _coverage(sheet: Image.Image) -> Field:
    return np.asarray(sheet.reduce(_OVERSAMPLING), np.float32) / np.float32(255)

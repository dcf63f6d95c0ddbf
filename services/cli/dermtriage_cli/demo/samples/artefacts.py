"""What stands between lesion and picture: hair, ruler, gel bubbles, the lens and the camera."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dermtriage_cli.demo.samples.canvas import HEIGHT, WIDTH, Points, X, Y, curve, distance, strokes

Picture = NDArray[np.float32]
"""Linear red, green and blue, 0 to 1, shape (3, height, width). Artefacts change it in place."""

_ENCODED = np.round(
    255
    * np.where(
        (_levels := np.linspace(0, 1, 4096)) <= 0.0031308,
        12.92 * _levels,
        1.055 * _levels ** (1 / 2.4) - 0.055,
    )
).astype(np.uint8)
"""The transfer curve of sRGB (IEC 61966-2-1), by linear level."""


def hair(rng: np.random.Generator, picture: Picture, count: int) -> None:
    """Lay hairs over the skin, dark or light, with their shadows."""
    lines = []
    lie = rng.random() * np.pi
    for _ in range(count):
        start = np.array([rng.uniform(-40, WIDTH + 40), rng.uniform(-40, HEIGHT + 40)])
        angle = lie + rng.normal(0, 0.5)
        way = np.array([np.cos(angle), np.sin(angle)])
        length = rng.uniform(120, 420)
        across = np.array([-way[1], way[0]]) * rng.normal(0, 0.22) * length
        width = rng.uniform(1.0, 2.6)
        bent = curve(start, start + way * length / 2 + across, start + way * length)
        lines.append((bent, width, width * 0.6))
    cover = strokes(lines)
    shade = rng.choice([0.012, 0.03, 0.07, 0.55], p=[0.4, 0.3, 0.2, 0.1])
    tint = np.float32(shade) * np.array([1.0, 0.75, 0.55], np.float32)
    # The shadow lies a little beside the hair.
    picture *= 1 - 0.22 * np.roll(cover, (2, 3), axis=(0, 1))
    picture += (tint[:, None, None] - picture) * (0.88 * cover)


def ruler(rng: np.random.Generator, picture: Picture, pixels_per_mm: float) -> None:
    """Print a millimetre scale along one edge, as on the glass of a dermatoscope."""
    lines: list[tuple[Points, float, float]] = []
    upright = rng.random() < 0.5
    far = rng.random() < 0.5
    reach, depth = (HEIGHT, WIDTH) if upright else (WIDTH, HEIGHT)
    base = rng.uniform(4, 14)
    tilt = rng.normal(0, 0.03)
    first = rng.uniform(0, pixels_per_mm)
    for mark in range(int((reach - first) / pixels_per_mm) + 1):
        along = first + mark * pixels_per_mm
        inset = base + tilt * along + (0 if tilt >= 0 else -tilt * reach)
        tick = 20 if mark % 5 == 0 else 11
        a, b = (depth - inset, depth - inset - tick) if far else (inset, inset + tick)
        ends = [(a, along), (b, along)] if upright else [(along, a), (along, b)]
        lines.append((np.array(ends), 2.0, 2.0))
    cover = strokes(lines)
    picture += (np.float32(0.02) - picture) * (0.85 * cover)


def bubbles(rng: np.random.Generator, picture: Picture, count: int) -> None:
    """Leave air bubbles in the contact gel: a bright rim, a darker ring in it, a highlight."""
    nest = np.array([rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)])
    for x, y in nest + rng.normal(0, 70, (count, 2)):
        radius = float(rng.gamma(2.0, 3.0) + 3)
        if not (0 <= x < WIDTH and 0 <= y < HEIGHT):
            continue
        reach = int(radius) + 4
        rows = slice(max(0, int(y) - reach), int(y) + reach + 1)
        columns = slice(max(0, int(x) - reach), int(x) + reach + 1)
        u, v = X[rows, columns] - np.float32(x), Y[rows, columns] - np.float32(y)
        away = np.hypot(u, v)
        rim = np.exp(-np.square((away - radius) / 1.3))
        ring = np.exp(-np.square((away - 0.82 * radius) / (0.10 * radius + 0.8)))
        light = np.hypot(u + 0.4 * radius, v + 0.4 * radius)
        highlight = np.exp(-np.square(light / (0.14 * radius + 0.8)))
        part = picture[:, rows, columns]
        part *= 1 - 0.22 * ring
        part += (1 - part) * np.clip(0.28 * rim + 0.85 * highlight, 0, 1)


def lens(rng: np.random.Generator, picture: Picture, *, tube: bool) -> None:
    """Darken towards the corners; a tube cuts the picture to a round field."""
    middle = (WIDTH * rng.normal(0.5, 0.02), HEIGHT * rng.normal(0.5, 0.02))
    away = distance(middle)
    light = 1 - np.float32(rng.uniform(0.05, 0.4)) * np.square(away / 375)
    if tube:
        light *= np.clip((np.float32(rng.uniform(285, 345)) - away) / 14, 0.015, 1)
    picture *= light


def camera(rng: np.random.Generator, picture: Picture) -> bytes:
    """Photograph it: exposure, white balance, a slight blur, sensor noise, JPEG."""
    # Cameras meter for the scene: dark skin is exposed longer, though not until it looks light.
    exposure = rng.uniform(0.95, 1.25) * (0.5 / float(np.mean(picture[0]))) ** 0.12
    balance = exposure * np.exp(rng.normal(0, 0.06, 3))
    planes = []
    for plane, gain in zip(picture, balance, strict=True):
        levels = np.clip(plane * np.float32(gain * 4095), 0, 4095).astype(np.uint16)
        planes.append(Image.fromarray(_ENCODED[levels]))
    image = Image.merge("RGB", planes).filter(ImageFilter.BoxBlur(rng.uniform(0.3, 0.9)))
    grain = rng.standard_normal((HEIGHT, WIDTH, 1), dtype=np.float32) * np.float32(
        rng.uniform(0.8, 2.2)
    )
    noisy = np.clip(np.asarray(image, np.float32) + grain + 0.5, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(noisy).save(out, "JPEG", quality=int(rng.integers(80, 95)))
    return out.getvalue()

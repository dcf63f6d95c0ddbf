"""Distribution shifts: photographs altered as by other cameras and clinics, at fixed strengths.

They share no code with the augmentation of training, so that they also show when an ensemble is
robust to its own augmentation only.
"""

import io
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

REFERENCE_SIDE = 224
"""Blur and compression are as strong as they look on a photograph with this short side."""

_OVERSAMPLING = 4
"""Hairs and borders are drawn this much larger and shrunk, so that their edges are smooth."""

Alter = Callable[[Image.Image, int], Image.Image]


@dataclass(frozen=True, slots=True)
class Shift:
    """One way to alter a photograph.

    Attributes
    ----------
    name
        Identifier.
    description
        Label in reports.
    """

    name: str
    description: str
    _alter: Alter

    def __call__(self, photograph: Image.Image, image_id: str) -> Image.Image:
        """Return an altered copy of an RGB photograph, of its own size.

        The same photograph with the same id is always altered in the same way.
        """
        return self._alter(photograph, zlib.crc32(image_id.encode()))


def vignette(photograph: Image.Image, diameter: float) -> Image.Image:
    """Black out all but a centred disc, whose diameter is given in short sides."""
    width, height = photograph.size
    large = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
    radius = diameter * min(large.size) / 2
    centre = (large.width / 2, large.height / 2)
    ImageDraw.Draw(large).ellipse(
        (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius), fill=255
    )
    disc = large.resize(photograph.size, Image.Resampling.BOX)
    return Image.composite(photograph, Image.new("RGB", photograph.size), disc)


def colour_cast(photograph: Image.Image, channel: int, gain: float) -> Image.Image:
    """Multiply one channel; values are clipped at white."""
    channels = list(photograph.split())
    channels[channel] = channels[channel].point([min(255, round(v * gain)) for v in range(256)])
    return Image.merge("RGB", channels)


def hair(photograph: Image.Image, seed: int) -> Image.Image:
    """Draw 25 dark curved hairs, about a hundredth of the short side thick."""
    generator = np.random.default_rng(seed)
    width, height = (side * _OVERSAMPLING for side in photograph.size)
    short = min(width, height)
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    time = np.linspace(0, 1, 30)[:, None]
    for _ in range(25):
        # A quadratic Bezier curve with a control point to the side.
        start = generator.uniform(0, 1, 2) * (width, height)
        angle, length = generator.uniform(0, 2 * math.pi), generator.uniform(0.4, 1.1) * short
        end = start + length * np.array([math.cos(angle), math.sin(angle)])
        aside = (start + end) / 2 + generator.normal(0, 0.15, 2) * short
        curve = (1 - time) ** 2 * start + 2 * time * (1 - time) * aside + time**2 * end
        thickness = max(1, round(generator.uniform(0.006, 0.014) * short))
        points = [(float(x), float(y)) for x, y in curve]
        draw.line(points, fill=int(generator.uniform(190, 255)), width=thickness, joint="curve")
    opacity = mask.resize(photograph.size, Image.Resampling.BOX)
    return Image.composite(Image.new("RGB", photograph.size, (45, 30, 25)), photograph, opacity)


def blur(photograph: Image.Image, sigma: float) -> Image.Image:
    """Blur by a Gaussian whose sigma is given in pixels at `REFERENCE_SIDE`."""
    radius = sigma * min(photograph.size) / REFERENCE_SIDE
    return photograph.filter(ImageFilter.GaussianBlur(radius))


def jpeg(photograph: Image.Image, quality: int) -> Image.Image:
    """Compress at `REFERENCE_SIDE`."""
    scale = REFERENCE_SIDE / min(photograph.size)
    size = (round(photograph.width * scale), round(photograph.height * scale))
    encoded = io.BytesIO()
    photograph.resize(size, Image.Resampling.LANCZOS).save(encoded, "JPEG", quality=quality)
    with Image.open(encoded) as compressed:
        return compressed.resize(photograph.size, Image.Resampling.LANCZOS)


def scale(photograph: Image.Image, factor: float) -> Image.Image:
    """Show the middle larger (cut off at the sides) or smaller (continued by reflection)."""
    width, height = photograph.size
    margin_x = max(0, math.ceil((width / factor - width) / 2))
    margin_y = max(0, math.ceil((height / factor - height) / 2))
    frame = _reflected(photograph, margin_x, margin_y)
    left, top = (frame.width - width / factor) / 2, (frame.height - height / factor) / 2
    box = (left, top, left + width / factor, top + height / factor)
    return frame.resize(photograph.size, Image.Resampling.BICUBIC, box=box)


def rotate(photograph: Image.Image, degrees: int) -> Image.Image:
    """Rotate about the centre; the corners are continued by reflection."""
    width, height = photograph.size
    side = math.ceil(math.hypot(width, height))
    margin_x, margin_y = math.ceil((side - width) / 2), math.ceil((side - height) / 2)
    turned = _reflected(photograph, margin_x, margin_y).rotate(degrees, Image.Resampling.BICUBIC)
    return turned.crop((margin_x, margin_y, margin_x + width, margin_y + height))


def _reflected(photograph: Image.Image, margin_x: int, margin_y: int) -> Image.Image:
    pixels = np.pad(
        np.asarray(photograph), ((margin_y, margin_y), (margin_x, margin_x), (0, 0)), "reflect"
    )
    return Image.fromarray(pixels)


def _casts() -> list[Shift]:
    def cast(channel: int, gain: float) -> Alter:
        return lambda photograph, _: colour_cast(photograph, channel, gain)

    return [
        Shift(
            f"{colour}_{'more' if gain > 1 else 'less'}",
            f"{colour.capitalize()} {'+' if gain > 1 else '-'}20 %",
            cast(channel, gain),
        )
        for channel, colour in enumerate(("red", "green", "blue"))
        for gain in (0.8, 1.2)
    ]


UNALTERED = Shift("none", "As photographed", lambda photograph, _: photograph)

SHIFTS: tuple[Shift, ...] = (
    Shift("vignette", "Round black border, 0.8 of the short side", lambda p, _: vignette(p, 0.8)),
    *_casts(),
    Shift("hair", "Drawn hair", hair),
    Shift("blur", "Blur, sigma 2 px at 224 px", lambda p, _: blur(p, 2.0)),
    Shift("jpeg", "JPEG quality 20 at 224 px", lambda p, _: jpeg(p, 20)),
    Shift("smaller", "Lesion at 0.6 of its size", lambda p, _: scale(p, 0.6)),
    Shift("larger", "Lesion at 1.6 of its size", lambda p, _: scale(p, 1.6)),
    Shift("rotation_45", "Turned by 45 degrees", lambda p, _: rotate(p, 45)),
    Shift("rotation_90", "Turned by 90 degrees", lambda p, _: rotate(p, 90)),
)
"""The shifts that are measured; `UNALTERED` is the reference."""

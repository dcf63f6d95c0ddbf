"""Pictures and files that the tests of this folder share."""

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageChops, ImageCms, ImageStat

from dermtriage.imaging.rendition import make_rendition, open_rendition

Color = tuple[int, int, int]

RED, GREEN, BLUE, WHITE = (250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 250)

QUARTERS = [(40, 30), (120, 30), (40, 90), (120, 90)]
"""The middles of the quarters of a picture of 160 x 120 pixels, in reading order."""


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def photograph(width: int = 160, height: int = 120) -> Image.Image:
    """A smooth picture with different corners, so that rotations and channel swaps show."""
    corners = Image.new("RGB", (2, 2))
    corners.putdata([RED, GREEN, BLUE, WHITE])
    return corners.resize((width, height), Image.Resampling.BICUBIC)


def quarters(width: int = 160, height: int = 120) -> Image.Image:
    """Four plain quarters: red, green / blue, white."""
    image = Image.new("RGB", (width, height), WHITE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises a size; its pixels are missing, which costs no memory."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            png_chunk(b"IHDR", header),
            png_chunk(b"IDAT", zlib.compress(b"")),
            png_chunk(b"IEND", b""),
        ]
    )


def rendered(data: bytes) -> Image.Image:
    return open_rendition(make_rendition(data))


def is_close(image: Image.Image, place: tuple[int, int], color: Color) -> bool:
    found = image.getpixel(place)
    assert isinstance(found, tuple)
    return all(abs(a - b) <= 8 for a, b in zip(found, color, strict=True))


def assert_quarters(image: Image.Image, *colors: Color) -> None:
    """Check the four quarters in reading order."""
    for place, color in zip(QUARTERS, colors, strict=True):
        assert is_close(image, place, color)


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)


def gray_ramp(size: int, maximum: int, mode: str) -> Image.Image:
    """A ramp from left to right, from 0 to the maximum."""
    image = Image.new(mode, (size, size))
    image.putdata([maximum * (i % size) // (size - 1) for i in range(size * size)])
    return image


def red_and_blue_swapped() -> bytes:
    """An sRGB profile whose red and blue primaries have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tmp.").replace(b"bXYZ", b"rXYZ").replace(b"tmp.", b"bXYZ")

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


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def with_segments(data: bytes, *segments: bytes) -> bytes:
    """Put segments behind the start of a JPEG."""
    return data[:2] + b"".join(segments) + data[2:]


def with_chunks(data: bytes, *chunks: bytes) -> bytes:
    """Put chunks behind the header of a PNG."""
    return data[:33] + b"".join(chunks) + data[33:]


def exif_of(color_space: int = 1, index: str = "R98", turned: int = 1) -> bytes:
    """EXIF as a camera writes it, with the directory of interoperability that Pillow omits."""

    def directory(*entries: tuple[int, int, bytes]) -> bytes:
        packed = (struct.pack("<HHI4s", tag, kind, 4, value) for tag, kind, value in entries)
        return struct.pack("<H", len(entries)) + b"".join(packed) + bytes(4)

    def number(value: int) -> bytes:
        return struct.pack("<I", value)

    first = 8
    own = first + 2 + 2 * 12 + 4
    interoperability = own + 2 + 2 * 12 + 4
    return b"II*\0" + b"".join(
        [
            number(first),
            directory((0x0112, 3, number(turned)), (0x8769, 4, number(own))),
            directory((0xA001, 3, number(color_space)), (0xA005, 4, number(interoperability))),
            directory((0x0001, 2, index.encode() + b"\0")),
        ]
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

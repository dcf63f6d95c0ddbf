"""A rendition holds pixels and nothing else of its photograph's file."""

import struct
import zlib

import pytest
from PIL import Image
from tests.unit.domain.imaging.pictures import (
    encode,
    jpeg_segment,
    photograph,
    png_chunk,
    with_chunks,
    with_segments,
)

from dermtriage.imaging.rendition import make_rendition

SECRET = b"Jane Secret, 12 March"
BASELINE, PROGRESSIVE = encode(photograph()), encode(photograph(), progressive=True)


def filled(size: int) -> bytes:
    return (SECRET * size)[:size]


def before(data: bytes, marker: bytes, planted: bytes) -> bytes:
    place = data.rindex(marker)
    return data[:place] + planted + data[place:]


def with_secret_in_table(data: bytes) -> bytes:
    """Put the secret into values of a quantisation table that pixels use, for fine detail."""
    start = data.index(b"\xff\xdb") + 5
    return data[: start + 30] + SECRET + data[start + 30 + len(SECRET) :]


def with_unused_symbols(data: bytes) -> bytes:
    """Put the secret's letters, once each, in front of the rare codes of a Huffman table."""
    start = data.index(b"\xff\xc4\x00\xb5") + 5 + 16
    table = data[start : start + 162]
    letters = bytes(dict.fromkeys(byte for byte in SECRET if byte in table[100:]))
    rest = bytes(byte for byte in table[100:] if byte not in letters)
    return data[:start] + table[:100] + letters + rest + data[start + 162 :]


PLANTED = {
    **{
        f"segment {marker:x}": with_segments(BASELINE, jpeg_segment(marker, SECRET))
        for marker in (*range(0xE0, 0xF0), 0xFE, 0xDC)
    },
    "quantisation table that is not used": with_segments(
        BASELINE, jpeg_segment(0xDB, b"\x03" + filled(64))
    ),
    "quantisation table of 16 bits": with_segments(
        BASELINE, jpeg_segment(0xDB, b"\x13" + filled(128))
    ),
    "quantisation table that is replaced": with_segments(
        BASELINE, jpeg_segment(0xDB, b"\x00" + filled(64))
    ),
    "quantisation table that is used": with_secret_in_table(BASELINE),
    "Huffman table that is not used": with_segments(
        BASELINE, jpeg_segment(0xC4, b"\x13" + bytes([0] * 7 + [21] + [0] * 8) + SECRET)
    ),
    "Huffman table that is used": with_unused_symbols(BASELINE),
    "between scans": before(PROGRESSIVE, b"\xff\xda", jpeg_segment(0xDB, b"\x03" + filled(64))),
    "comment between scans": before(PROGRESSIVE, b"\xff\xda", jpeg_segment(0xFE, SECRET)),
    "garbage between segments": with_segments(BASELINE, jpeg_segment(0xFE, b""), SECRET),
    "behind the scan": before(BASELINE, b"\xff\xd9", SECRET),
    "few bytes behind the scan": before(BASELINE, b"\xff\xd9", SECRET[:4]),
    "behind the last scan": before(PROGRESSIVE, b"\xff\xd9", SECRET),
    "behind the end": BASELINE + SECRET,
    "another picture behind the end": BASELINE
    + with_segments(BASELINE, jpeg_segment(0xFE, SECRET)),
}
"""By place of the secret, a JPEG that shows the same picture, or nearly."""


@pytest.mark.parametrize("place", PLANTED)
def test_nothing_planted_in_a_jpeg_survives(place: str) -> None:
    rendition = make_rendition(PLANTED[place])
    assert SECRET[:4] not in rendition
    assert header(rendition) == header(make_rendition(BASELINE))


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP", b"tIME", b"prVt"])
def test_nothing_planted_in_a_png_survives(kind: bytes) -> None:
    data = encode(photograph(), "PNG")
    rendition = make_rendition(with_chunks(data, png_chunk(kind, SECRET)) + SECRET)
    assert rendition == make_rendition(data)


def test_nothing_behind_the_pixels_of_a_png_survives() -> None:
    rows = b"".join(b"\0" + bytes([200, 150, 100] * 80) for _ in range(80))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            png_chunk(b"IHDR", struct.pack(">IIBBBBB", 80, 80, 8, 2, 0, 0, 0)),
            png_chunk(b"IDAT", zlib.compress(rows + SECRET * 9)),
            png_chunk(b"IDAT", SECRET),
            png_chunk(b"IEND", SECRET),
        ]
    )
    plain = encode(Image.new("RGB", (80, 80), (200, 150, 100)), "PNG")
    assert make_rendition(data) == make_rendition(plain)


def header(jpeg: bytes) -> bytes:
    """Everything of a JPEG but its entropy-coded pixels."""
    scan = jpeg.index(b"\xff\xda")
    assert jpeg.count(b"\xff\xda") == 1
    assert jpeg.index(b"\xff\xd9") == len(jpeg) - 2
    return jpeg[: scan + 14]

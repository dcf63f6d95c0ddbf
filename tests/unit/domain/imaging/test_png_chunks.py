"""Of a PNG's chunks only what the picture needs reaches a decoder, whatever the file holds."""

import struct
import time
import zlib

import pytest
from PIL import Image
from tests.unit.domain.imaging.pictures import (
    encode,
    photograph,
    png_chunk,
    red_and_blue_swapped,
    with_chunks,
)

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.limits import MAX_CHUNKS
from dermtriage.imaging.png_chunks import read_png
from dermtriage.imaging.rendition import make_rendition
from dermtriage.imaging.validation import inspect

PLAIN = encode(photograph(), "PNG")


def code_of(data: bytes) -> str:
    started = time.process_time()
    with pytest.raises(ImageRejected) as caught:
        inspect(data)
    assert time.process_time() - started < 2
    return caught.value.code


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"tEXt", b"Comment\0Secret"),
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000))),
        png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(20_000_000))),
        png_chunk(b"iTXt", b"Comment\0\0\0\0\0" + b"Secret" * 1_000_000),
        png_chunk(b"iCCP", b"printer\0\0" + zlib.compress(bytes(20_000_000))),
        png_chunk(b"iCCP", b"printer\0\0nonsense"),
        png_chunk(b"iCCP", b""),
        png_chunk(b"eXIf", bytes(1_000_000)),
        png_chunk(b"vpAg", b"private"),
    ],
    ids=["text", "ztxt", "itxt", "long", "iccp-bomb", "iccp-damaged", "iccp-empty", "exif", "own"],
)
def test_an_ancillary_chunk_costs_no_picture(chunk: bytes) -> None:
    data = with_chunks(PLAIN, chunk)
    assert read_png(data) == read_png(PLAIN)
    assert inspect(data) == inspect(PLAIN)
    assert make_rendition(data) == make_rendition(PLAIN)


def test_a_profile_of_two_megabytes_is_read() -> None:
    profile = red_and_blue_swapped() + bytes(2_000_000)
    chunk = png_chunk(b"iCCP", b"printer\0\0" + zlib.compress(profile))
    assert read_png(with_chunks(PLAIN, chunk)).profile == profile


def test_an_unknown_chunk_that_is_needed_is_refused() -> None:
    assert code_of(with_chunks(PLAIN, png_chunk(b"CgBI", bytes(4)))) == "corrupt_image"


def test_the_number_of_chunks_is_bounded() -> None:
    chunk = png_chunk(b"tEXt", b"")
    assert code_of(with_chunks(PLAIN, chunk * MAX_CHUNKS)) == "corrupt_image"
    assert code_of(with_chunks(PLAIN, chunk * 1_000_000)) == "corrupt_image"


def test_the_header_comes_first_and_once() -> None:
    header = PLAIN[8:33]
    assert code_of(PLAIN[:8] + PLAIN[33:]) == "corrupt_image"
    assert code_of(with_chunks(PLAIN, header)) == "corrupt_image"


def palette_png(*chunks: bytes) -> bytes:
    rows = zlib.compress(b"".join(b"\0" + bytes([row % 4]) * 80 for row in range(80)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            png_chunk(b"IHDR", struct.pack(">IIBBBBB", 80, 80, 8, 3, 0, 0, 0)),
            *chunks,
            png_chunk(b"IDAT", rows),
            png_chunk(b"IEND", b""),
        ]
    )


def test_what_cannot_be_shown_is_not_accepted() -> None:
    palette = png_chunk(b"PLTE", bytes(range(12)))
    assert inspect(palette_png(palette)).width == 80
    assert code_of(palette_png()) == "corrupt_image"


def test_the_transparency_of_a_palette_is_shown() -> None:
    palette = png_chunk(b"PLTE", bytes(range(12)))
    data = palette_png(palette, png_chunk(b"tRNS", bytes(4)))
    white = encode(Image.new("RGB", (80, 80), "white"), "PNG")
    assert inspect(data).width == 80
    assert make_rendition(data) == make_rendition(white)


@pytest.mark.parametrize("length", [257, 300])
def test_a_transparency_that_is_too_long_is_refused(length: int) -> None:
    palette = png_chunk(b"PLTE", bytes(range(12)))
    assert code_of(palette_png(palette, png_chunk(b"tRNS", bytes(length)))) == "corrupt_image"


def test_a_small_file_of_too_many_bytes_is_refused_before_it_is_inflated() -> None:
    header = struct.pack(">IIBBBBB", 7000, 7000, 16, 6, 0, 0, 0)
    row = zlib.compress(bytes(1 + 8 * 7000))
    data = PLAIN[:8] + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", row) + PLAIN[-12:]
    assert code_of(data) == "image_too_large"

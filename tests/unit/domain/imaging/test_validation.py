"""Which files are accepted as photographs, and why others are rejected."""

import io
import struct
import warnings
from typing import Any

import pytest
from PIL import ExifTags, Image
from tests.unit.domain.imaging.pictures import (
    BLUE,
    RED,
    encode,
    is_close,
    photograph,
    png_of_size,
    quarters,
    rendered,
)

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.rendition import make_rendition
from dermtriage.imaging.validation import inspect


def code_of(data: bytes) -> str:
    with pytest.raises(ImageRejected) as caught:
        inspect(data)
    assert caught.value.detail
    assert caught.value.remedy
    return caught.value.code


@pytest.mark.parametrize(
    ("kind", "options", "media_type"),
    [
        ("JPEG", {}, "image/jpeg"),
        ("JPEG", {"progressive": True}, "image/jpeg"),
        ("PNG", {}, "image/png"),
    ],
)
def test_facts_of_an_acceptable_photograph(
    kind: str, options: dict[str, Any], media_type: str
) -> None:
    data = encode(photograph(), kind, **options)
    facts = inspect(data)
    assert (facts.media_type, facts.width, facts.height) == (media_type, 160, 120)


def test_facts_give_the_upright_size() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for kind in ("JPEG", "PNG"):
        facts = inspect(encode(photograph(160, 120), kind, exif=exif))
        assert (facts.width, facts.height) == (120, 160)


def test_smallest_side_is_accepted() -> None:
    assert inspect(encode(photograph(64, 64), "PNG")).width == 64


def test_multi_picture_file_is_its_first_picture() -> None:
    data = encode(
        Image.new("RGB", (96, 80), RED),
        "MPO",
        save_all=True,
        append_images=[Image.new("RGB", (96, 80), BLUE)],
    )
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "MPO"  # else the test shows nothing
    assert inspect(data).media_type == "image/jpeg"
    assert is_close(rendered(data), (48, 40), RED)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_bytes_after_the_picture_are_not_served(kind: str) -> None:
    data = encode(photograph(), kind)
    tail = b"PK\x03\x04<script>alert(1)</script>" * 20
    assert inspect(data + tail).width == 160
    assert b"<script>" not in make_rendition(data + tail)
    assert make_rendition(data + tail) == make_rendition(data)


def test_megabytes_of_video_behind_a_progressive_jpeg_are_ignored() -> None:
    video = (b"\x00\x01\xff\xda\xff\xd8\xff\xe1" + bytes(1000)) * 20_000
    data = encode(photograph(), progressive=True)
    assert inspect(data + video) == inspect(data)
    assert make_rendition(data + video) == make_rendition(data)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif", [b"II*\x00\xff\xff\xff\xff" + b"\x99" * 40, b"neither order", b"MM\x00*\x00"]
)
def test_a_photograph_with_broken_exif_is_accepted(exif: bytes) -> None:
    data = encode(quarters(), quality=95, exif=b"Exif\x00\x00" + exif)
    assert inspect(data).width == 160
    assert is_close(rendered(data), (40, 30), RED)


def test_empty() -> None:
    assert code_of(b"") == "empty_image"


@pytest.mark.parametrize(
    "data",
    [
        b"not a picture at all\n",
        b"\x00",
        encode(photograph(), "GIF"),
        encode(photograph(), "WEBP"),
        encode(photograph(), "BMP"),
        encode(photograph(), "TIFF"),
        b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"\x00" * 200,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\n" + encode(photograph()),
    ],
    ids=["text", "nul", "gif", "webp", "bmp", "tiff", "heic", "svg", "shifted-jpeg"],
)
def test_other_types(data: bytes) -> None:
    assert code_of(data) == "unsupported_media_type"


def test_the_rejection_of_other_types_names_what_is_accepted() -> None:
    with pytest.raises(ImageRejected, match=r"image/jpeg, image/png.*JPEG or PNG"):
        inspect(b"GIF89a")


@pytest.mark.parametrize("lost", [1, 2, 30, 500])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_truncated_jpeg_even_by_one_byte(lost: int, options: dict[str, Any]) -> None:
    assert code_of(encode(photograph(), **options)[:-lost]) == "truncated_image"


@pytest.mark.parametrize("kept", [3, 20, 200])
def test_jpeg_that_ends_in_its_header(kept: int) -> None:
    assert code_of(encode(photograph())[:kept]) == "truncated_image"


@pytest.mark.parametrize("lost", [1, 12, 13, 300])
def test_truncated_png_even_by_one_byte(lost: int) -> None:
    assert code_of(encode(photograph(), "PNG")[:-lost]) == "truncated_image"


@pytest.mark.parametrize("chunk", [b"IHDR", b"IDAT", b"IEND"])
def test_png_with_a_wrong_checksum(chunk: bytes) -> None:
    data = bytearray(encode(photograph(), "PNG"))
    start = data.index(chunk)
    (length,) = struct.unpack_from(">I", data, start - 4)
    data[start + 4 + length] ^= 0xFF
    assert code_of(bytes(data)) == "corrupt_image"


def test_png_with_right_checksums_and_no_pixels() -> None:
    assert code_of(png_of_size(640, 480)) == "corrupt_image"


def test_jpeg_with_a_damaged_header() -> None:
    data = bytearray(encode(photograph()))
    frame = data.index(b"\xff\xc0")
    data[frame + 4] = 77  # bits per sample
    assert code_of(bytes(data)) == "corrupt_image"


@pytest.mark.parametrize("size", [(63, 64), (64, 63), (1, 1), (2000, 1)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_too_small(size: tuple[int, int], kind: str) -> None:
    assert code_of(encode(Image.new("RGB", size), kind)) == "image_too_small"


@pytest.mark.parametrize("size", [(10_000, 5_121), (2**31 - 1, 2**31 - 1)])
def test_a_size_that_is_too_large_is_read_from_the_header(size: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert code_of(png_of_size(*size)) == "image_too_large"


def test_a_jpeg_that_is_too_large_is_rejected_by_its_header() -> None:
    data = bytearray(encode(photograph()))
    frame = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, frame + 5, 65_500, 65_500)
    assert code_of(bytes(data)) == "image_too_large"


@pytest.mark.parametrize("size", [(10_000, 5_000), (8160, 6144), (6144, 8160)])
def test_what_phones_call_fifty_megapixels_is_not_too_large(size: tuple[int, int]) -> None:
    assert code_of(png_of_size(*size)) == "corrupt_image"


def test_a_photograph_of_a_phone_with_fifty_megapixels_is_accepted() -> None:
    data = encode(Image.new("L", (8160, 6144), 200), quality=50)
    assert inspect(data).width == 8160
    assert rendered(data).size == (1024, 771)


def test_animated_png() -> None:
    frames = [Image.new("RGB", (80, 80), color) for color in (RED, BLUE)]
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert b"acTL" in data
    assert code_of(data) == "animated_image"

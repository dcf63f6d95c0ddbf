"""What is accepted as a photograph, what is refused and why, and what a rendition is."""

import io
import struct
import warnings
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageChops, ImageCms, ImageStat

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.rendition import (
    RENDITION_SIDE,
    make_rendition,
    open_rendition,
    rendition_size,
)
from dermtriage.imaging.validation import inspect

Colour = tuple[int, int, int]

RED, GREEN, BLUE, WHITE = (250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 250)

QUARTERS = [(40, 30), (120, 30), (40, 90), (120, 90)]
"""The middles of the quarters of a picture of 160 x 120 pixels, in reading order."""


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def photograph(width: int = 160, height: int = 120) -> Image.Image:
    """A smooth picture with different corners, so that turns and swaps show."""
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
    """A PNG whose header promises a size; its pixels are not there, which costs no memory."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            png_chunk(b"IHDR", header),
            png_chunk(b"IDAT", zlib.compress(b"")),
            png_chunk(b"IEND", b""),
        ]
    )


def code_of(data: bytes) -> str:
    with pytest.raises(ImageRejected) as caught:
        inspect(data)
    assert caught.value.detail
    assert caught.value.remedy
    return caught.value.code


def rendered(data: bytes) -> Image.Image:
    return open_rendition(make_rendition(data))


def about(image: Image.Image, place: tuple[int, int], colour: Colour) -> bool:
    found = image.getpixel(place)
    assert isinstance(found, tuple)
    return all(abs(a - b) <= 8 for a, b in zip(found, colour, strict=True))


def assert_quarters(image: Image.Image, *colours: Colour) -> None:
    """Check the four quarters in reading order."""
    for place, colour in zip(QUARTERS, colours, strict=True):
        assert about(image, place, colour)


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)


def gray_ramp(size: int, maximum: int, mode: str) -> Image.Image:
    """A ramp from left to right, from 0 to the maximum."""
    image = Image.new(mode, (size, size))
    image.putdata([maximum * (i % size) // (size - 1) for i in range(size * size)])
    return image


# --- accepted -------------------------------------------------------------------------------------


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
        assert image.format == "MPO"  # Else the test would show nothing.
    assert inspect(data).media_type == "image/jpeg"
    assert about(rendered(data), (48, 40), RED)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_tail_behind_the_picture_is_not_served(kind: str) -> None:
    data = encode(photograph(), kind)
    tail = b"PK\x03\x04<script>alert(1)</script>" * 20
    assert inspect(data + tail).width == 160
    assert b"<script>" not in make_rendition(data + tail)
    assert make_rendition(data + tail) == make_rendition(data)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif", [b"II*\x00\xff\xff\xff\xff" + b"\x99" * 40, b"neither order", b"MM\x00*\x00"]
)
def test_broken_exif_does_not_cost_the_photograph(exif: bytes) -> None:
    data = encode(quarters(), quality=95, exif=b"Exif\x00\x00" + exif)
    assert inspect(data).width == 160
    assert about(rendered(data), (40, 30), RED)


# --- refused --------------------------------------------------------------------------------------


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


def test_other_types_learn_what_is_accepted() -> None:
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
    data[frame + 4] = 77  # bits a sample
    assert code_of(bytes(data)) == "corrupt_image"


@pytest.mark.parametrize("size", [(63, 64), (64, 63), (1, 1), (2000, 1)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_too_small(size: tuple[int, int], kind: str) -> None:
    assert code_of(encode(Image.new("RGB", size), kind)) == "image_too_small"


@pytest.mark.parametrize("size", [(10_000, 5_001), (2**31 - 1, 2**31 - 1)])
def test_too_large_is_seen_from_the_header(size: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert code_of(png_of_size(*size)) == "image_too_large"


def test_jpeg_too_large_is_seen_from_the_header() -> None:
    data = bytearray(encode(photograph()))
    frame = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, frame + 5, 65_500, 65_500)
    assert code_of(bytes(data)) == "image_too_large"


def test_fifty_megapixels_are_not_too_large() -> None:
    assert code_of(png_of_size(10_000, 5_000)) == "corrupt_image"


def test_animated_png() -> None:
    frames = [Image.new("RGB", (80, 80), colour) for colour in (RED, BLUE)]
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert b"acTL" in data
    assert code_of(data) == "animated_image"


def test_jpeg_of_endless_scans() -> None:
    data = encode(photograph().convert("L"), progressive=True)
    last_scan = data[data.rfind(b"\xff\xda") : -2]
    assert inspect(data[:-2] + last_scan * 20 + data[-2:]).width == 160
    assert code_of(data[:-2] + last_scan * 1000 + data[-2:]) == "corrupt_image"


def test_what_cannot_be_decoded_has_no_rendition() -> None:
    with pytest.raises(ImageRejected) as caught:
        make_rendition(encode(photograph())[:-400])
    assert caught.value.code == "truncated_image"
    with pytest.raises(ImageRejected):
        open_rendition(make_rendition(encode(photograph()))[:-400])


# --- rendition ------------------------------------------------------------------------------------


def test_rendition_is_a_plain_rgb_jpeg_like_its_original() -> None:
    original = photograph()
    data = encode(original, "PNG")
    with Image.open(io.BytesIO(make_rendition(data))) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (160, 120))
        assert mean_difference(image.convert("RGB"), original) < 2


@pytest.mark.parametrize(
    ("least", "expected"),
    [(None, (600, 450)), (226, (600, 450)), (225, (300, 225)), (100, (150, 113)), (9, (75, 57))],
)
def test_a_rendition_is_decoded_as_small_as_will_do(
    least: int | None, expected: tuple[int, int]
) -> None:
    rendition = make_rendition(encode(photograph(600, 450)))
    image = open_rendition(rendition, least=least)
    assert (image.mode, image.size) == ("RGB", expected)
    assert mean_difference(image, photograph(*expected)) < 3
    assert rendition_size(rendition) == (600, 450)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_same_bytes_give_the_same_rendition(kind: str) -> None:
    data = encode(photograph(1500, 1100), kind)
    assert make_rendition(data) == make_rendition(data)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((2048, 1536), (1024, 768)),
        ((768, 3072), (256, 1024)),
        ((1025, 700), (1024, 699)),
        ((1024, 1024), (1024, 1024)),
        ((200, 100), (200, 100)),
        ((64, 4096), (16, 1024)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_long_side_is_bounded_and_never_enlarged(
    kind: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    image = rendered(encode(photograph(*size), kind))
    assert image.size == expected
    assert max(image.size) <= RENDITION_SIDE


def test_scaled_decoding_shows_the_same_picture() -> None:
    texture = Image.effect_noise((100, 75), 90).resize((3000, 2250), Image.Resampling.BICUBIC)
    original = ImageChops.multiply(photograph(3000, 2250), texture.convert("RGB"))
    expected = original.resize((1024, 768), Image.Resampling.LANCZOS)
    assert mean_difference(rendered(encode(original, quality=95)), expected) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation(kind: str, orientation: int) -> None:
    # What a camera stores for an upright scene, by the definition of the tag: where row 0 and
    # column 0 of the stored picture lie in the scene.
    stored = {
        1: [RED, GREEN, BLUE, WHITE],
        2: [GREEN, RED, WHITE, BLUE],
        3: [WHITE, BLUE, GREEN, RED],
        4: [BLUE, WHITE, RED, GREEN],
        5: [RED, BLUE, GREEN, WHITE],
        6: [GREEN, WHITE, RED, BLUE],
        7: [WHITE, GREEN, BLUE, RED],
        8: [BLUE, RED, WHITE, GREEN],
    }[orientation]
    width, height = (160, 120) if orientation < 5 else (120, 160)
    image = Image.new("RGB", (width, height))
    for i, colour in enumerate(stored):
        left, top = (i % 2) * width // 2, (i // 2) * height // 2
        image.paste(colour, (left, top, left + width // 2, top + height // 2))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    upright = rendered(encode(image, kind, exif=exif, **({} if kind == "PNG" else {"quality": 95})))
    assert upright.size == (160, 120)
    assert_quarters(upright, RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_metadata_is_gone(kind: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Dr Secret"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (47.0, 22.0, 11.0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options: dict[str, Any] = {"exif": exif, "icc_profile": profile, "dpi": (301, 301)}
    if kind == "JPEG":
        options |= {"comment": "Jane Secret", "xmp": b"<x:xmpmeta>Secret</x:xmpmeta>"}
    data = encode(photograph(), kind, **options)
    assert b"Secret" in data
    rendition = make_rendition(data)
    for trace in (b"Secret", b"Exif", b"ICC_PROFILE", b"xmpmeta", b"\xff\xfe"):
        assert trace not in rendition
    with Image.open(io.BytesIO(rendition)) as image:
        assert not image.getexif()
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert image.info["jfif_density"] == (1, 1)


def red_and_blue_swapped() -> bytes:
    """An sRGB profile whose red and blue primaries have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tmp.").replace(b"bXYZ", b"rXYZ").replace(b"tmp.", b"bXYZ")


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("PNG", {})])
def test_embedded_profile_is_applied(kind: str, options: dict[str, Any]) -> None:
    image = rendered(encode(quarters(), kind, icc_profile=red_and_blue_swapped(), **options))
    assert_quarters(image, BLUE, GREEN, RED, WHITE)


def test_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode(photograph(), "PNG")
    assert make_rendition(encode(photograph(), "PNG", icc_profile=profile)) == make_rendition(data)


@pytest.mark.parametrize("profile", [b"nonsense", red_and_blue_swapped()[:300]])
def test_broken_profile_is_ignored(profile: bytes) -> None:
    assert about(rendered(encode(quarters(), "PNG", icc_profile=profile)), (40, 30), RED)


def test_profile_for_another_mode_is_ignored() -> None:
    gray = encode(photograph().convert("L"), "JPEG", icc_profile=red_and_blue_swapped())
    assert make_rendition(gray) == make_rendition(encode(photograph().convert("L"), "JPEG"))


def test_cmyk() -> None:
    image = rendered(encode(quarters().convert("CMYK"), "JPEG", quality=95))
    assert_quarters(image, RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_shows_white(mode: str) -> None:
    image = Image.new("RGB", (100, 80), (0, 0, 0)).convert(mode)
    alpha = Image.new("L", (100, 80), 0)
    alpha.paste(255, (50, 0, 100, 80))
    alpha.paste(128, (50, 40, 100, 80))
    image.putalpha(alpha)
    result = rendered(encode(image, "PNG"))
    assert about(result, (20, 40), (255, 255, 255))
    assert about(result, (75, 20), (0, 0, 0))
    assert about(result, (75, 60), (127, 127, 127))


def test_palette() -> None:
    image = quarters().quantize(8)
    assert image.mode == "P"
    assert about(rendered(encode(image, "PNG")), (40, 30), RED)


def test_palette_with_a_transparent_entry() -> None:
    image = quarters().quantize(8)
    red = image.getpixel((40, 30))
    result = rendered(encode(image, "PNG", transparency=red))
    assert about(result, (40, 30), (255, 255, 255))
    assert about(result, (120, 30), GREEN)


def test_one_bit() -> None:
    image = Image.new("1", (100, 80), 0)
    image.paste(1, (50, 0, 100, 80))
    result = rendered(encode(image, "PNG"))
    assert about(result, (20, 40), (0, 0, 0))
    assert about(result, (80, 40), (255, 255, 255))


def test_sixteen_bit_gray_is_scaled_and_not_cut_off() -> None:
    deep = rendered(encode(gray_ramp(256, 65535, "I;16"), "PNG"))
    shallow = rendered(encode(gray_ramp(256, 255, "L"), "PNG"))
    assert mean_difference(deep, shallow) < 1
    assert about(deep, (128, 100), (128, 128, 128))


def test_gray_with_eight_bits() -> None:
    result = rendered(encode(gray_ramp(256, 255, "L"), "JPEG", quality=95))
    assert result.mode == "RGB"
    assert about(result, (200, 50), (200, 200, 200))


# --- whatever comes -------------------------------------------------------------------------------

SEEDS = [
    encode(photograph(96, 80)),
    encode(
        photograph(96, 80),
        progressive=True,
        exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08" + b"\0",
    ),
    encode(photograph(96, 80).convert("CMYK"), icc_profile=red_and_blue_swapped()),
    encode(photograph(96, 80), "PNG", icc_profile=red_and_blue_swapped(), dpi=(72, 72)),
    encode(photograph(96, 80).quantize(16), "PNG", transparency=3),
    encode(gray_ramp(80, 65535, "I;16"), "PNG"),
]


def repaired(data: bytes) -> bytes:
    """Make the checksums of a PNG right again, so that damage reaches the decoder."""
    out, position = data[:8], 8
    while len(data) - position >= 12:
        (length,) = struct.unpack_from(">I", data, position)
        if position + 12 + length > len(data):
            break
        content = data[position + 4 : position + 8 + length]
        out += data[position : position + 4] + content + struct.pack(">I", zlib.crc32(content))
        position += 12 + length
    return out + data[position:]


@settings(max_examples=300, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)),
        max_size=8,
    ),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
    repair=st.booleans(),
)
def test_damaged_bytes_are_rejected_or_read_and_nothing_else(
    seed: bytes, edits: list[tuple[float, bytes]], kept: float, repair: bool
) -> None:
    damaged = bytearray(seed)
    for where, content in edits:
        # Squaring favours the headers, where damage leads decoders astray.
        start = int(where * where * len(damaged))
        damaged[start : start + len(content)] = content
    data = bytes(damaged[: int(kept * len(damaged))])
    if repair and data.startswith(b"\x89PNG"):
        data = repaired(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(ImageRejected):
            open_rendition(data)
        try:
            facts = inspect(data)
        except ImageRejected:
            with suppress(ImageRejected):
                make_rendition(data)
        else:
            # What intake accepted can be scored.
            rendition = rendered(data)
            assert rendition.size == (facts.width, facts.height) or max(rendition.size) == 1024


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]),
    st.binary(max_size=400),
)
def test_no_bytes_crash_it(magic: bytes, data: bytes) -> None:
    with pytest.raises(ImageRejected):
        inspect(magic + data)

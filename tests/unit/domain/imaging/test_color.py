"""Renditions are sRGB with 8 bits per channel and without transparency."""

from typing import Any

import pytest
from PIL import Image, ImageCms
from tests.unit.domain.imaging.pictures import (
    BLUE,
    GREEN,
    QUARTERS,
    RED,
    WHITE,
    assert_quarters,
    encode,
    exif_of,
    gray_ramp,
    is_close,
    jpeg_segment,
    mean_difference,
    photograph,
    png_chunk,
    quarters,
    red_and_blue_swapped,
    rendered,
    with_chunks,
    with_segments,
)

from dermtriage.imaging.rendition import make_rendition


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
    assert is_close(rendered(encode(quarters(), "PNG", icc_profile=profile)), (40, 30), RED)


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
    assert is_close(result, (20, 40), (255, 255, 255))
    assert is_close(result, (75, 20), (0, 0, 0))
    assert is_close(result, (75, 60), (127, 127, 127))


def test_palette() -> None:
    image = quarters().quantize(8)
    assert image.mode == "P"
    assert is_close(rendered(encode(image, "PNG")), (40, 30), RED)


def test_palette_with_a_transparent_entry() -> None:
    image = quarters().quantize(8)
    red = image.getpixel((40, 30))
    result = rendered(encode(image, "PNG", transparency=red))
    assert is_close(result, (40, 30), (255, 255, 255))
    assert is_close(result, (120, 30), GREEN)


def test_one_bit() -> None:
    image = Image.new("1", (100, 80), 0)
    image.paste(1, (50, 0, 100, 80))
    result = rendered(encode(image, "PNG"))
    assert is_close(result, (20, 40), (0, 0, 0))
    assert is_close(result, (80, 40), (255, 255, 255))


def test_sixteen_bit_gray_is_scaled_and_not_cut_off() -> None:
    deep = rendered(encode(gray_ramp(256, 65535, "I;16"), "PNG"))
    shallow = rendered(encode(gray_ramp(256, 255, "L"), "PNG"))
    assert mean_difference(deep, shallow) < 1
    assert is_close(deep, (128, 100), (128, 128, 128))


def test_gray_with_eight_bits() -> None:
    result = rendered(encode(gray_ramp(256, 255, "L"), "JPEG", quality=95))
    assert result.mode == "RGB"
    assert is_close(result, (200, 50), (200, 200, 200))


def in_space(name: str) -> Image.Image:
    """The quarters, coded in a colour space: by the primaries that its standard gives."""
    to_space = {
        # The inverse of the matrices from linear RGB of the space to linear sRGB.
        "P3": ((0.8225, 0.1774, 0.0), (0.0332, 0.9669, 0.0), (0.0171, 0.0724, 0.9108)),
        "Adobe": ((0.7151, 0.2849, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0412, 0.9588)),
    }[name]
    image = quarters()
    for x, y in QUARTERS:
        seen = image.getpixel((x, y))
        assert isinstance(seen, tuple)
        linear = [_decoded(value / 255) for value in seen]
        mixed = [sum(m * v for m, v in zip(row, linear, strict=True)) for row in to_space]
        curve = _encoded if name == "P3" else (lambda value: value ** (256 / 563))
        color = tuple(round(255 * curve(value)) for value in mixed)
        image.paste(color, (x - 40, y - 30, x + 40, y + 30))
    return image


def _decoded(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _encoded(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_adobe_rgb_that_only_exif_names_is_converted(kind: str) -> None:
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    data = encode(in_space("Adobe"), kind, exif=b"Exif\0\0" + exif_of(65535, "R03"), **options)
    for place, color in zip(QUARTERS, (RED, GREEN, BLUE, WHITE), strict=True):
        # This green is at the edge of sRGB: what a JPEG rounds is seen in its red.
        assert color == GREEN or is_close(rendered(data), place, color)
    unmarked = encode(in_space("Adobe"), kind, exif=b"Exif\0\0" + exif_of(65535, "R98"), **options)
    assert not is_close(rendered(unmarked), (40, 30), RED)


def test_an_embedded_profile_stands_above_exif() -> None:
    data = encode(
        quarters(),
        "PNG",
        exif=b"Exif\0\0" + exif_of(65535, "R03"),
        icc_profile=red_and_blue_swapped(),
    )
    assert_quarters(rendered(data), BLUE, GREEN, RED, WHITE)


def test_display_p3_that_a_png_names_is_converted() -> None:
    data = encode(in_space("P3"), "PNG")
    named = with_chunks(data, png_chunk(b"cICP", bytes([12, 13, 0, 1])))
    assert_quarters(rendered(named), RED, GREEN, BLUE, WHITE)
    assert not is_close(rendered(data), (120, 30), GREEN)


@pytest.mark.parametrize("content", [b"", b"\1\x0d\0\1", b"\x0c\x10\0\1", b"\xff" * 4, b"\x0c" * 9])
def test_other_names_of_colours_change_nothing(content: bytes) -> None:
    data = encode(quarters(), "PNG")
    named = with_chunks(data, png_chunk(b"cICP", content))
    assert make_rendition(named) == make_rendition(data)


def test_a_malformed_profile_in_a_jpeg_costs_no_picture() -> None:
    data = encode(quarters(), quality=95)
    for content in (b"ICC_PROFILE\0", b"ICC_PROFILE\0\1", b"ICC_PROFILE\0\3\1abc"):
        broken = with_segments(data, jpeg_segment(0xE2, content))
        assert make_rendition(broken) == make_rendition(data)

"""Renditions are sRGB with 8 bits per channel and without transparency."""

from typing import Any

import pytest
from PIL import Image, ImageCms
from tests.unit.domain.imaging.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    assert_quarters,
    encode,
    gray_ramp,
    is_close,
    mean_difference,
    photograph,
    quarters,
    red_and_blue_swapped,
    rendered,
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

"""Renditions: their size, their orientation, and no metadata."""

import io
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageChops, ImageCms
from tests.unit.domain.imaging.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    assert_quarters,
    encode,
    mean_difference,
    photograph,
    rendered,
)

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.rendition import (
    RENDITION_SIDE,
    make_rendition,
    open_rendition,
    rendition_size,
)


def test_rendition_is_a_plain_rgb_jpeg_like_its_original() -> None:
    original = photograph()
    data = encode(original, "PNG")
    with Image.open(io.BytesIO(make_rendition(data))) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (160, 120))
        assert mean_difference(image.convert("RGB"), original) < 2


@pytest.mark.parametrize(
    ("min_side", "expected"),
    [(None, (600, 450)), (226, (600, 450)), (225, (300, 225)), (100, (150, 113)), (9, (75, 57))],
)
def test_a_rendition_is_decoded_at_the_smallest_sufficient_size(
    min_side: int | None, expected: tuple[int, int]
) -> None:
    rendition = make_rendition(encode(photograph(600, 450)))
    image = open_rendition(rendition, min_side=min_side)
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
    for i, color in enumerate(stored):
        left, top = (i % 2) * width // 2, (i // 2) * height // 2
        image.paste(color, (left, top, left + width // 2, top + height // 2))
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


def test_a_file_that_cannot_be_decoded_has_no_rendition() -> None:
    with pytest.raises(ImageRejected) as caught:
        make_rendition(encode(photograph())[:-400])
    assert caught.value.code == "truncated_image"
    with pytest.raises(ImageRejected):
        open_rendition(make_rendition(encode(photograph()))[:-400])

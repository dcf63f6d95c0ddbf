"""A photograph that needs no change keeps its coded pixels, and nothing else of its file."""

import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageChops, ImageCms

from dermtriage.imaging.jpeg_metadata import strip_metadata
from dermtriage.imaging.rendition import make_rendition


def photograph(mode: str = "RGB", size: tuple[int, int] = (200, 150)) -> Image.Image:
    colours = Image.effect_noise((size[0] // 5, size[1] // 5), 60).resize(size)
    return Image.merge("RGB", [colours, ImageChops.invert(colours), colours]).convert(mode)


def encode(image: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes()


PLAIN = encode(photograph())


def exif(tags: dict[int, Any]) -> Image.Exif:
    made = Image.Exif()
    made.update(tags)
    return made


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quality": 40},
        {"subsampling": 0},
        {"subsampling": 1},
        {"restart_marker_blocks": 3},
        {"optimize": True},
        {"exif": exif({ExifTags.Base.Artist: "Dr Secret", ExifTags.Base.Orientation: 1})},
        {"comment": "Jane Secret", "xmp": b"<x:xmpmeta>Secret</x:xmpmeta>", "dpi": (301, 301)},
    ],
    ids=["default", "coarse", "444", "422", "restarts", "optimised", "exif", "comment"],
)
def test_pixels_stay_and_metadata_goes(options: dict[str, Any]) -> None:
    data = encode(photograph(), **options)
    rendition = make_rendition(data + b"Secret after the end")
    assert pixels(rendition) == pixels(data)
    assert rendition == strip_metadata(data)
    for trace in (b"Secret", b"Exif", b"xmpmeta", b"\xff\xfe"):
        assert trace not in rendition
    with Image.open(io.BytesIO(rendition)) as image:
        assert set(image.info) == {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert image.info["jfif_density"] == (1, 1)


def test_a_stripped_file_is_its_own_rendition() -> None:
    rendition = make_rendition(PLAIN)
    assert make_rendition(rendition) == rendition


@pytest.mark.parametrize(
    "data",
    [
        encode(photograph(), progressive=True),
        encode(photograph("L")),
        encode(photograph("CMYK")),
        encode(photograph(), keep_rgb=True),
        encode(photograph(size=(1100, 300))),
        encode(photograph(), exif=exif({ExifTags.Base.Orientation: 6})),
        encode(
            photograph(),
            icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        ),
    ],
    ids=["progressive", "gray", "cmyk", "rgb", "large", "rotated", "profile"],
)
def test_a_photograph_that_must_change_is_encoded_again(data: bytes) -> None:
    with Image.open(io.BytesIO(make_rendition(data))) as image:
        assert image.mode == "RGB"
        assert not image.info.get("progressive")
        # Only what was encoded by us has its chroma at full resolution.
        assert [(across, down) for _, across, down, _ in image.layer] == [(1, 1)] * 3


@pytest.mark.parametrize(("transform", "plain"), [(1, True), (0, False), (2, False)])
def test_colours_are_what_the_file_says(transform: int, plain: bool) -> None:
    segment = b"\xff\xee" + struct.pack(">H5s3HB", 14, b"Adobe", 100, 0, 0, transform)
    data = PLAIN[:2] + segment + PLAIN[20:]
    assert (strip_metadata(data) is not None) == plain
    if plain:
        assert pixels(make_rendition(data)) == pixels(data)


@given(
    segments=st.lists(
        st.tuples(st.sampled_from([*range(0xE0, 0xEE), 0xEF, 0xFE]), st.binary(max_size=40)),
        max_size=5,
    ),
    tail=st.binary(max_size=40),
)
def test_metadata_segments_are_removed(segments: list[tuple[int, bytes]], tail: bytes) -> None:
    added = b"".join(
        struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content
        for marker, content in segments
    )
    assert strip_metadata(PLAIN[:2] + added + PLAIN[2:] + tail) == strip_metadata(PLAIN)


@given(kept=st.integers(2, len(PLAIN) - 1))
def test_an_incomplete_file_is_not_stripped(kept: int) -> None:
    assert strip_metadata(PLAIN[:kept]) is None


@given(content=st.binary(max_size=300))
def test_no_bytes_crash_it(content: bytes) -> None:
    strip_metadata(PLAIN[:2] + content)
    strip_metadata(PLAIN[: len(PLAIN) // 4] + content)

"""Of a JPEG's segments only what the picture needs reaches a decoder, whatever the file holds."""

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.unit.domain.imaging.pictures import (
    encode,
    jpeg_segment,
    photograph,
    red_and_blue_swapped,
    with_segments,
)

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.jpeg_metadata import read_jpeg
from dermtriage.imaging.limits import MAX_SCANS, MAX_SEGMENTS

PLAIN = encode(photograph())
SCAN = PLAIN[PLAIN.index(b"\xff\xda") : -2]


def code_of(data: bytes) -> str:
    started = time.process_time()
    with pytest.raises(ImageRejected) as caught:
        read_jpeg(data)
    assert time.process_time() - started < 2
    return caught.value.code


@given(
    segments=st.lists(
        st.tuples(st.sampled_from([*range(0xE3, 0xEE), 0xEF, 0xFE, 0xDC]), st.binary(max_size=40)),
        max_size=5,
    ),
    tail=st.binary(max_size=40),
)
def test_metadata_and_the_tail_are_removed(segments: list[tuple[int, bytes]], tail: bytes) -> None:
    data = with_segments(PLAIN, *(jpeg_segment(*segment) for segment in segments))
    assert read_jpeg(data + tail) == read_jpeg(PLAIN)


def test_segments_between_scans_are_removed() -> None:
    data = encode(photograph(), progressive=True)
    parts = data.split(b"\xff\xda")
    assert len(parts) > 5
    between = jpeg_segment(0xFE, b"Secret") + b"\xff\xff\xff"
    # A scan's own tables precede it, so the comment does too.
    planted = parts[0] + between + b"\xff\xda" + b"\xff\xda".join(parts[1:])
    assert read_jpeg(planted).data == read_jpeg(data).data


@given(kept=st.integers(3, len(PLAIN) - 1))
def test_an_incomplete_file_is_truncated(kept: int) -> None:
    assert code_of(PLAIN[:kept]) == "truncated_image"


@given(content=st.binary(max_size=300), start=st.integers(2, len(PLAIN)))
def test_no_bytes_crash_it(content: bytes, start: int) -> None:
    for data in (PLAIN[:start] + content, PLAIN[:start] + content + PLAIN[start:]):
        try:
            read_jpeg(data)
        except ImageRejected:
            continue


def test_the_number_of_scans_is_bounded_in_every_kind_of_jpeg() -> None:
    for data in (PLAIN, encode(photograph().convert("L"), progressive=True)):
        last = data[data.rfind(b"\xff\xda") : -2]
        scans = data.count(b"\xff\xda")
        allowed = data[:-2] + last * (MAX_SCANS - scans) + data[-2:]
        assert read_jpeg(allowed).width == 160
        assert code_of(data[:-2] + last * (MAX_SCANS - scans + 1) + data[-2:]) == "corrupt_image"
        assert code_of(data[:-2] + last * 20_000 + data[-2:]) == "corrupt_image"


def test_scans_behind_the_end_do_not_count() -> None:
    data = encode(photograph(), progressive=True)
    assert read_jpeg(data + b"\xff\xda" * 100_000) == read_jpeg(data)


@pytest.mark.parametrize(
    "segment",
    [
        jpeg_segment(0xE1, b"Exif\0\0" + bytes(10)),
        jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(90)),
        jpeg_segment(0xE5, b""),
        jpeg_segment(0xDB, b""),
    ],
    ids=["exif", "icc", "empty", "tables"],
)
def test_the_number_of_segments_is_bounded(segment: bytes) -> None:
    assert read_jpeg(with_segments(PLAIN, segment * 400)).width == 160
    many = with_segments(PLAIN, segment * (8_000_000 // len(segment)))
    assert code_of(many) == "corrupt_image"
    assert code_of(with_segments(PLAIN, segment * MAX_SEGMENTS)) == "corrupt_image"


@pytest.mark.parametrize("filler", [b"\xff", b"\0", b"\xff\0"])
def test_megabytes_of_fill_take_no_time(filler: bytes) -> None:
    data = with_segments(PLAIN, jpeg_segment(0xE5, b""), filler * (8_000_000 // len(filler)))
    started = time.process_time()
    assert read_jpeg(data) == read_jpeg(PLAIN)
    assert time.process_time() - started < 2


def test_parts_of_a_profile_are_put_together() -> None:
    profile = red_and_blue_swapped()
    parts = [profile[start : start + 100] for start in range(0, len(profile), 100)]
    segments = [
        jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part)
        for number, part in enumerate(parts, 1)
    ]
    assert read_jpeg(with_segments(PLAIN, *reversed(segments))).profile == profile
    assert read_jpeg(with_segments(PLAIN, *segments[1:])).profile == b""


@pytest.mark.parametrize(
    "content",
    [b"ICC_PROFILE\0", b"ICC_PROFILE\0\1", b"ICC_PROFILE\0\0\0abc", b"ICC_PROFILE\0\2\1abc"],
)
def test_a_malformed_profile_costs_only_itself(content: bytes) -> None:
    encoded = read_jpeg(with_segments(PLAIN, jpeg_segment(0xE2, content)))
    assert encoded.profile == b""
    assert encoded.data == read_jpeg(PLAIN).data


def test_the_longest_exif_and_thousands_of_marks_of_a_phone_are_read() -> None:
    exif = Image.Exif()
    exif[0x010F] = "A maker"
    data = encode(photograph(), exif=exif)
    xmp = jpeg_segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(65_000))
    encoded = read_jpeg(with_segments(data, *[xmp] * 380))
    assert encoded.exif == exif.tobytes()[6:]
    assert encoded.data == read_jpeg(PLAIN).data


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC8, 0xC9, 0xD8, 0xDE, 0xDF, 0xF0, 0x02])
def test_other_kinds_of_coding_are_not_decoded(marker: int) -> None:
    assert code_of(with_segments(PLAIN, jpeg_segment(marker, bytes(20)))) == "corrupt_image"


def test_a_file_that_ends_between_two_scans_is_refused() -> None:
    for mode in ("RGB", "L"):
        data = encode(photograph().convert(mode), progressive=True)
        starts = [place for place in range(len(data)) if data.startswith(b"\xff\xda", place)]
        assert len(starts) > 4
        for start in starts:
            assert code_of(data[:start] + b"\xff\xd9") == "corrupt_image"


def test_two_frames_are_refused() -> None:
    start = PLAIN.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", PLAIN, start + 2)
    frame = PLAIN[start : start + 2 + length]
    assert code_of(with_segments(PLAIN, frame)) == "corrupt_image"
    assert code_of(PLAIN.replace(frame, b"")) == "corrupt_image"

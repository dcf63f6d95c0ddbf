"""Damaged and arbitrary bytes are decoded or rejected, and never raise anything else."""

import struct
import warnings
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.domain.imaging.pictures import (
    encode,
    gray_ramp,
    photograph,
    red_and_blue_swapped,
    rendered,
)

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.rendition import make_rendition, open_rendition
from dermtriage.imaging.validation import inspect

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

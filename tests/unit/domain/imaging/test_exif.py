"""Orientation and colour space are read from EXIF, and no EXIF is a reason to refuse a picture."""

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.imaging.pictures import exif_of

from dermtriage.imaging.exif import is_adobe_rgb, orientation


def big_endian(turned: int) -> bytes:
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, turned, 0, 0)


@pytest.mark.parametrize("turned", range(1, 9))
def test_orientation_in_both_byte_orders(turned: int) -> None:
    assert orientation(exif_of(turned=turned)) == turned
    assert orientation(big_endian(turned)) == turned


@pytest.mark.parametrize(
    "exif", [b"", b"II", exif_of(turned=0), exif_of(turned=9), b"neither order"]
)
def test_no_orientation_is_upright(exif: bytes) -> None:
    assert orientation(exif) == 1


def test_adobe_rgb_needs_both_marks() -> None:
    assert is_adobe_rgb(exif_of(65535, "R03"))
    assert not is_adobe_rgb(exif_of(65535, "R98"))
    assert not is_adobe_rgb(exif_of(1, "R03"))
    assert not is_adobe_rgb(b"")


@given(exif=st.binary(max_size=200), place=st.integers(0, 100), seed=st.booleans())
def test_no_bytes_crash_it(exif: bytes, place: int, seed: bool) -> None:
    whole = exif_of(65535, "R03", 6)
    data = whole[:place] + exif + whole[place + len(exif) :] if seed else exif
    assert 1 <= orientation(data) <= 8
    is_adobe_rgb(data)


def test_the_largest_directory_takes_no_time() -> None:
    entry = struct.pack("<HHII", 0x8769, 4, 65_535, 8)
    data = b"II*\0" + struct.pack("<IH", 8, 65_535) + entry * 5_400
    started = time.process_time()
    assert orientation(data) == 1
    assert not is_adobe_rgb(data)
    assert time.process_time() - started < 1

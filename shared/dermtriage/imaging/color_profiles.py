"""ICC profiles of colour spaces that files name without embedding a profile."""

import struct
from functools import cache
from itertools import accumulate

_Triple = tuple[float, float, float]

_SRGB_CURVE = struct.pack(
    ">4s4xHH5i",
    b"para",
    3,
    0,
    *(round(value * 65536) for value in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)),
)
"""The transfer function of sRGB (IEC 61966-2-1), as a parametric curve."""

_ADOBE_CURVE = struct.pack(">4s4xIH2x", b"curv", 1, round(563 / 256 * 256))
"""A power of 563/256, the nominal 2.2 of Adobe RGB (1998)."""

_D50: _Triple = (0.9642, 1.0, 0.8249)
"""The white of ICC's connection space."""

_PRIMARIES: dict[str, tuple[_Triple, _Triple, _Triple]] = {
    "Adobe RGB": (
        (0.60974, 0.31111, 0.01947),
        (0.20528, 0.62567, 0.06087),
        (0.14919, 0.06322, 0.74457),
    ),
    "Display P3": (
        (0.51512, 0.24120, -0.00105),
        (0.29198, 0.69225, 0.04189),
        (0.15710, 0.06657, 0.78407),
    ),
    "BT.2020": (
        (0.67348, 0.27904, -0.00193),
        (0.16567, 0.67534, 0.02998),
        (0.12505, 0.04561, 0.79685),
    ),
}
"""X, Y and Z of red, green and blue, adapted from D65 to D50 by Bradford's method."""

_CICP_PRIMARIES = {9: "BT.2020", 12: "Display P3"}
_CICP_SRGB_CURVE, _CICP_RGB, _CICP_FULL_RANGE = 13, 0, 1


@cache
def adobe_rgb() -> bytes:
    """Return a profile of Adobe RGB (1998)."""
    return _profile("Adobe RGB", _ADOBE_CURVE)


def profile_of_cicp(cicp: bytes) -> bytes:
    """Return a profile of the colour space that a PNG's cICP chunk names (ITU-T H.273).

    Parameters
    ----------
    cicp
        The content of the chunk: primaries, transfer function, matrix, range.

    Returns
    -------
    bytes
        Empty for sRGB, and for what is not known here.
    """
    if len(cicp) != 4 or tuple(cicp[1:]) != (_CICP_SRGB_CURVE, _CICP_RGB, _CICP_FULL_RANGE):
        return b""
    name = _CICP_PRIMARIES.get(cicp[0])
    return _profile(name, _SRGB_CURVE) if name else b""


@cache
def _profile(name: str, curve: bytes) -> bytes:
    """Return a display profile (ICC.1:2001, matrix and curves) of the colour space of this name."""
    ascii_name = name.encode() + b"\0"
    description = struct.pack(">4s4xI", b"desc", len(ascii_name)) + ascii_name + bytes(78)
    tags = {
        b"desc": description,
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(_D50),
        **dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, _PRIMARIES[name]), strict=True)),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    contents = [content + bytes(-len(content) % 4) for content in tags.values()]
    starts = accumulate(map(len, contents), initial=128 + 4 + 12 * len(tags))
    table = struct.pack(">I", len(tags)) + b"".join(
        struct.pack(">4sII", tag, start, len(content))
        for (tag, content), start in zip(tags.items(), starts, strict=False)
    )
    body = table + b"".join(contents)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x",
        128 + len(body),
        0x02400000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        b"acsp",
        *(round(value * 65536) for value in _D50),
    )
    return header + body


def _xyz(values: _Triple) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(value * 65536) for value in values))

"""The two things that EXIF says and a rendition needs: which way is up, and Adobe RGB.

A TIFF structure may point anywhere in itself, so that a general reader can be made to read the same
bytes thousands of times. This one reads a known place of three directories at most.
"""

import struct
from collections.abc import Iterator

_ORIENTATION, _EXIF_DIRECTORY = 0x0112, 0x8769
_COLOR_SPACE, _INTEROPERABILITY_DIRECTORY, _INTEROPERABILITY_INDEX = 0xA001, 0xA005, 0x0001

_SHORT, _LONG, _ASCII = 3, 4, 2
_UNCALIBRATED = 65535


def orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8; 1 if the data are broken or do not say.

    Broken EXIF is common (editors, messengers) and no reason to refuse a picture.
    """
    try:
        value = _number(_entries(exif, _first_directory(exif)), _ORIENTATION)
    except (struct.error, ValueError):
        return 1
    return value if value is not None and 1 <= value <= 8 else 1


def is_adobe_rgb(exif: bytes) -> bool:
    """Whether the picture is in Adobe RGB by the rule of DCF 2.0.

    That is an uncalibrated colour space, with the interoperability index ``R03``. Cameras that
    write it may embed no profile.
    """
    try:
        first = _entries(exif, _first_directory(exif))
        own = _entries(exif, _number(first, _EXIF_DIRECTORY))
        if _number(own, _COLOR_SPACE) != _UNCALIBRATED:
            return False
        interoperability = _entries(exif, _number(own, _INTEROPERABILITY_DIRECTORY))
        kind, _, value = interoperability.get(_INTEROPERABILITY_INDEX, (0, "", b""))
    except (struct.error, ValueError):
        return False
    return kind == _ASCII and value.startswith(b"R03")


_Entries = dict[int, tuple[int, str, bytes]]
"""By tag: type, byte order, and the four bytes that are the value or say where it lies."""


def _byte_order(exif: bytes) -> str:
    try:
        return {b"II": "<", b"MM": ">"}[exif[:2]]
    except KeyError:
        raise ValueError("neither byte order") from None


def _first_directory(exif: bytes) -> int:
    return int(struct.unpack_from(_byte_order(exif) + "I", exif, 4)[0])


def _entries(exif: bytes, offset: int | None) -> _Entries:
    if offset is None:
        return {}
    return dict(_read(exif, offset))


def _read(exif: bytes, offset: int) -> Iterator[tuple[int, tuple[int, str, bytes]]]:
    order = _byte_order(exif)
    (count,) = struct.unpack_from(order + "H", exif, offset)
    for start in range(offset + 2, offset + 2 + 12 * count, 12):
        if start + 12 > len(exif):
            return
        tag, kind, _, value = struct.unpack_from(order + "HHI4s", exif, start)
        yield tag, (kind, order, value)


def _number(entries: _Entries, tag: int) -> int | None:
    kind, order, value = entries.get(tag, (0, "", b""))
    if kind == _SHORT:
        return int(struct.unpack_from(order + "H", value)[0])
    if kind == _LONG:
        return int(struct.unpack_from(order + "I", value)[0])
    return None

"""The chunks of a PNG file (PNG 3, section 5): what its picture needs, and the rest.

A decoder gets nothing but header, palette, transparency and pixels.
"""

import struct
import zlib

from dermtriage.imaging.color_profiles import profile_of_cicp
from dermtriage.imaging.encoded_picture import EncodedPicture
from dermtriage.imaging.limits import (
    MAX_CHUNKS,
    MAX_EXIF_BYTES,
    MAX_PNG_BYTES,
    MAX_PROFILE_BYTES,
)
from dermtriage.imaging.rejection import rejected

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_PICTURE = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_METADATA = {b"iCCP", b"cICP", b"eXIf", b"acTL"}

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""

_CRITICAL = 0x20
"""The bit of a chunk's first letter that is not set if no decoder may pass over the chunk."""


def read_png(data: bytes) -> EncodedPicture:
    """Read the chunks of a PNG up to IEND; what follows is ignored.

    Parameters
    ----------
    data
        Begins with `PNG_SIGNATURE`.

    Raises
    ------
    ImageRejected
        With the code ``truncated_image``, ``corrupt_image`` (a checksum is wrong, or a chunk is
        unknown and needed), ``animated_image`` or ``image_too_large`` (more than `MAX_PNG_BYTES`
        of pixels). The pixels are not inflated.
    """
    kept, found = _split(data)
    header = found[b"IHDR"]
    if len(header) != 13:
        raise rejected("corrupt_image")
    width, height, depth, colour_type = struct.unpack_from(">IIBB", header)
    if colour_type not in _CHANNELS or depth not in {1, 2, 4, 8, 16}:
        raise rejected("corrupt_image")
    if width * height * _CHANNELS[colour_type] * depth > 8 * MAX_PNG_BYTES:
        raise rejected("image_too_large", width, height)
    animation = found.get(b"acTL", b"")
    if len(animation) == 8 and struct.unpack_from(">I", animation)[0] > 1:
        raise rejected("animated_image")
    exif = found.get(b"eXIf", b"")
    return EncodedPicture(
        media_type="image/png",
        width=width,
        height=height,
        channels=0,
        data=PNG_SIGNATURE + b"".join(kept),
        exif=exif if len(exif) <= MAX_EXIF_BYTES else b"",
        profile=profile_of_cicp(found.get(b"cICP", b"")) or _inflated(found.get(b"iCCP", b"")),
    )


def _split(data: bytes) -> tuple[list[bytes], dict[bytes, bytes]]:
    """Return the chunks that the picture needs, and the content of the first chunk of each kind."""
    view = memoryview(data)
    position, count = len(PNG_SIGNATURE), 0
    kept: list[bytes] = []
    found: dict[bytes, bytes] = {}
    kind = b""
    while kind != b"IEND":
        if len(data) - position < 12:
            raise rejected("truncated_image")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise rejected("truncated_image")
        (crc,) = struct.unpack_from(">I", data, end - 4)
        count += 1
        is_expected = (kind == b"IHDR") == (count == 1) and count <= MAX_CHUNKS
        if not is_expected or zlib.crc32(view[position + 4 : end - 4]) != crc:
            raise rejected("corrupt_image")
        if kind in _PICTURE:
            kept.append(data[position:end])
        elif not kind[0] & _CRITICAL:
            raise rejected("corrupt_image")
        if kind in _METADATA or kind == b"IHDR":
            found.setdefault(kind, data[position + 8 : end - 4])
        position = end
    return kept, found


def _inflated(iccp: bytes) -> bytes:
    """Return the ICC profile of an iCCP chunk; empty if it is damaged or too long."""
    _, _, compressed = iccp.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(compressed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return b""
    return profile if inflater.eof else b""

"""The segments of a JPEG file, to remove everything but the picture (ITU-T T.81, annex B)."""

import re
import struct

_START, _END = b"\xff\xd8", b"\xff\xd9"
_JFIF = b"\xff\xe0" + struct.pack(">H5s2sB2HBB", 16, b"JFIF\0", b"\x01\x01", 0, 1, 1, 0, 0)
"""A minimal JFIF 1.01 header: no resolution, no thumbnail."""

_BASELINE, _SCAN, _ADOBE = 0xC0, 0xDA, 0xEE
_TABLES = {0xC4, 0xDB, 0xDD}
"""Huffman tables, quantisation tables, restart interval."""

_METADATA = {*range(0xE0, 0xF0), 0xFE}
"""Application segments (APP0 to APP15) and comments: cameras, places, previews, names."""

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""A marker that ends entropy-coded data; stuffed zeros and restart markers belong to the data."""


def has_end(data: bytes) -> bool:
    """Whether the file ends with the end-of-image marker, as every JPEG that we write does."""
    return data.endswith(_END)


def strip_metadata(data: bytes) -> bytes | None:
    """Return a JPEG with its metadata removed and its coded pixels unchanged.

    Parameters
    ----------
    data
        Begins with the start-of-image marker.

    Returns
    -------
    bytes or None
        None unless the file is complete and of the simplest kind: baseline, 8 bits, Y, Cb and Cr
        in one scan. Bytes after the end-of-image marker are removed too.
    """
    kept, position = [_START, _JFIF], len(_START)
    while position + 4 <= len(data):
        lead, marker, length = struct.unpack_from(">BBH", data, position)
        end = position + 2 + length
        if lead != 0xFF or length < 2 or not _is_simple(marker, data[position + 4 : end]):
            return None
        if marker == _SCAN:
            after = _MARKER.search(data, end)
            if after is None or after[0] != _END:
                return None
            return b"".join([*kept, data[position : after.end()]])
        if marker not in _METADATA:
            kept.append(data[position:end])
        position = end
    return None


def _is_simple(marker: int, content: bytes) -> bool:
    """Whether a segment belongs to the simplest kind of JPEG, or is metadata to be removed."""
    if marker == _SCAN:
        return len(content) == 10 and content[0] == 3
    if marker == _BASELINE:
        return len(content) == 15 and content[0] == 8 and content[6::3] == b"\x01\x02\x03"
    if marker == _ADOBE and content.startswith(b"Adobe"):
        # The last byte is the colour transform: 1 if the three components are Y, Cb and Cr.
        return content[11:] == b"\x01"
    return marker in _TABLES or marker in _METADATA

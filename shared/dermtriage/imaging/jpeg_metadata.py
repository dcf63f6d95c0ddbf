"""The inner make of JPEG files, as far as it is needed to leave everything but the picture out."""

import re
import struct

_START, _END = b"\xff\xd8", b"\xff\xd9"
_JFIF = b"\xff\xe0" + struct.pack(">H5s2sB2HBB", 16, b"JFIF\0", b"\x01\x01", 0, 1, 1, 0, 0)
"""A header that says no more than that this is a JPEG in the usual colours (JFIF 1.01)."""

_BASELINE, _SCAN, _ADOBE = 0xC0, 0xDA, 0xEE
_TABLES = {0xC4, 0xDB, 0xDD}
"""Huffman tables, quantisation tables, restart interval."""
_TOLD_BESIDES = {*range(0xE0, 0xF0), 0xFE}
"""Application segments and comments: cameras, places, previews, names."""
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""What ends coded pixels; a stuffed zero and restarts belong to them."""


def has_end(data: bytes) -> bool:
    """Whether a JPEG with nothing after its picture, as all are that we write, has come to it."""
    return data.endswith(_END)


def strip_metadata(data: bytes) -> bytes | None:
    """Return a JPEG with nothing but its picture, whose coded pixels stay bit for bit.

    Parameters
    ----------
    data
        Begins as a JPEG does.

    Returns
    -------
    bytes or None
        None unless it is the plainest kind: baseline, of 8 bits, Y, Cb and Cr in one scan
        (ITU-T T.81, annex B), and whole. What follows its end is left out as well.
    """
    kept, position = [_START, _JFIF], len(_START)
    while position + 4 <= len(data):
        lead, marker, length = struct.unpack_from(">BBH", data, position)
        end = position + 2 + length
        if lead != 0xFF or length < 2 or not _plain(marker, data[position + 4 : end]):
            return None
        if marker == _SCAN:
            after = _MARKER.search(data, end)
            if after is None or after[0] != _END:
                return None
            return b"".join([*kept, data[position : after.end()]])
        if marker not in _TOLD_BESIDES:
            kept.append(data[position:end])
        position = end
    return None


def _plain(marker: int, content: bytes) -> bool:
    """Whether a segment may stand in a bare JPEG, or may be left out of it."""
    if marker == _SCAN:
        return len(content) == 10 and content[0] == 3
    if marker == _BASELINE:
        return len(content) == 15 and content[0] == 8 and content[6::3] == b"\x01\x02\x03"
    if marker == _ADOBE and content.startswith(b"Adobe"):
        # Its last byte says whether the three are Y, Cb and Cr at all.
        return content[11:] == b"\x01"
    return marker in _TABLES or marker in _TOLD_BESIDES

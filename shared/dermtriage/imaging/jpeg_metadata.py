"""The segments of a JPEG file (ITU-T T.81, annex B): what its picture needs, and the rest.

One pass over the file, whose work is bounded by its length and by the limits on segments and scans.
A decoder gets nothing but tables, frame and scans, so that metadata cannot keep it busy.
"""

import re
import struct
from dataclasses import dataclass, field

from dermtriage.imaging.encoded_picture import EncodedPicture
from dermtriage.imaging.jpeg_scans import deliver_all
from dermtriage.imaging.limits import MAX_PROFILE_BYTES, MAX_SCANS, MAX_SEGMENTS
from dermtriage.imaging.rejection import rejected

JPEG_START = b"\xff\xd8\xff"
_START, _END = b"\xff\xd8", b"\xff\xd9"

_JFIF_HEADER = b"\xff\xe0" + struct.pack(">H5s2sB2HBB", 16, b"JFIF\0", b"\x01\x01", 0, 1, 1, 0, 0)
"""A minimal JFIF 1.01 header: no resolution, no thumbnail."""

_PROGRESSIVE = 0xC2
_FRAMES = {0xC0, 0xC1, _PROGRESSIVE}
"""Baseline, extended and progressive with Huffman codes: all that cameras and editors write."""

_TABLES = {0xC4, 0xDB, 0xDD}
"""Huffman tables, quantisation tables, restart interval."""

_END_OF_IMAGE, _SCAN, _LINES, _COMMENT = 0xD9, 0xDA, 0xDC, 0xFE
_APPLICATION = range(0xE0, 0xF0)
_JFIF, _EXIF, _ICC, _ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}

_MARKER = re.compile(rb"\xff[^\x00\xff]")
"""The next marker between segments; fill bytes and garbage before it are passed over."""

_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""A marker that ends entropy-coded data; stuffed zeros and restart markers belong to the data."""


def has_end(data: bytes) -> bool:
    """Whether the file ends with the end-of-image marker, as every JPEG that we write does."""
    return data.endswith(_END)


@dataclass(slots=True)
class _Segments:
    """What has been read of a file."""

    frame: bytes = b""
    is_progressive: bool = False
    scans: list[bytes] = field(default_factory=list)
    """The contents of the scan headers."""
    is_jfif: bool = False
    adobe_transform: int | None = None
    exif: bytes = b""
    icc: dict[int, bytes] = field(default_factory=dict)
    icc_count: int = 0
    kept: list[bytes] = field(default_factory=list)
    """The segments and scans that the picture needs, in their order."""

    def add(self, marker: int, content: bytes, segment: bytes) -> None:
        """Add a segment that is no scan."""
        if marker in _FRAMES:
            if self.frame or len(content) < 6 or len(content) != 6 + 3 * content[5]:
                raise rejected("corrupt_image")
            self.frame, self.is_progressive = content, marker == _PROGRESSIVE
            self.kept.append(segment)
        elif marker in _TABLES:
            self.kept.append(segment)
        elif marker == _JFIF and content.startswith(b"JFIF\0"):
            self.is_jfif = True
        elif marker == _EXIF and content.startswith(b"Exif\0\0"):
            self.exif = self.exif or content[6:]
        elif marker == _ICC and content.startswith(b"ICC_PROFILE\0") and len(content) > 14:
            self.icc.setdefault(content[12], content[14:])
            self.icc_count = content[13]
        elif marker == _ADOBE and content.startswith(b"Adobe") and len(content) >= 12:
            self.adobe_transform = content[11]
        elif marker not in _APPLICATION and marker not in {_COMMENT, _LINES}:
            raise rejected("corrupt_image")

    def profile(self) -> bytes:
        """Return the ICC profile; empty if there is none, or a part of it is missing."""
        if not self.icc or self.icc.keys() != {*range(1, self.icc_count + 1)}:
            return b""
        profile = b"".join(self.icc[number] for number in range(1, self.icc_count + 1))
        return profile if len(profile) <= MAX_PROFILE_BYTES else b""

    def colours(self) -> bytes:
        """Return the segments by which a decoder knows how colours are coded."""
        colours = _JFIF_HEADER if self.is_jfif else b""
        if self.adobe_transform is not None:
            adobe = struct.pack(">H5s3HB", 14, b"Adobe", 100, 0, 0, self.adobe_transform)
            colours += b"\xff\xee" + adobe
        return colours


def read_jpeg(data: bytes) -> EncodedPicture:
    """Read the segments of a JPEG up to its end; what follows is ignored.

    Parameters
    ----------
    data
        Begins with `JPEG_START`.

    Raises
    ------
    ImageRejected
        With the code ``truncated_image`` or ``corrupt_image``. The entropy-coded data are not read.
    """
    segments, position, count = _Segments(), len(_START), 0
    while True:
        found = _MARKER.search(data, position)
        if found is None:
            raise rejected("truncated_image")
        marker, position = data[found.start() + 1], found.end()
        count += 1
        if count > MAX_SEGMENTS:
            raise rejected("corrupt_image")
        if marker == _END_OF_IMAGE:
            break
        if marker in _WITHOUT_LENGTH:
            continue
        end = _end_of_segment(data, position)
        if marker == _SCAN:
            segments.scans.append(data[position + 2 : end])
            if len(segments.scans) > MAX_SCANS:
                raise rejected("corrupt_image")
            end = _end_of_scan(data, end)
            segments.kept.append(data[position - 2 : end])
        else:
            segments.add(marker, data[position + 2 : end], data[position - 2 : end])
        position = end
    if not deliver_all(segments.frame, segments.scans, progressive=segments.is_progressive):
        raise rejected("corrupt_image")
    height, width = struct.unpack_from(">HH", segments.frame, 1)
    return EncodedPicture(
        media_type="image/jpeg",
        width=width,
        height=height,
        channels=segments.frame[5],
        data=b"".join([_START, segments.colours(), *segments.kept, _END]),
        exif=segments.exif,
        profile=segments.profile(),
    )


def _end_of_segment(data: bytes, position: int) -> int:
    if position + 2 > len(data):
        raise rejected("truncated_image")
    (length,) = struct.unpack_from(">H", data, position)
    if length < 2:
        raise rejected("corrupt_image")
    if position + length > len(data):
        raise rejected("truncated_image")
    return int(position + length)


def _end_of_scan(data: bytes, position: int) -> int:
    after = _MARKER_IN_SCAN.search(data, position)
    if after is None:
        raise rejected("truncated_image")
    return after.start()

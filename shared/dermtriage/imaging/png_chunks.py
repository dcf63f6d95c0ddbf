"""The chunk structure of PNG files."""

import struct
import zlib

from dermtriage.imaging.rejection import rejected

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def check_chunks(data: bytes) -> None:
    """Check that every chunk up to IEND is complete and has the right CRC (PNG, section 5.3).

    Pillow's decoder tolerates a missing end and does not check the CRC of pixel data.

    Parameters
    ----------
    data
        A file that begins with `PNG_SIGNATURE`.

    Raises
    ------
    ImageRejected
        With the code ``truncated_image`` or ``corrupt_image``.
    """
    view = memoryview(data)
    position = len(PNG_SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if len(data) - position < 12:
            raise rejected("truncated_image")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise rejected("truncated_image")
        (crc,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != crc:
            raise rejected("corrupt_image")
        position = end

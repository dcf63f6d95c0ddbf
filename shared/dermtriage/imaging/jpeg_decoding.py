"""Decoding of JPEG by libjpeg-turbo, by way of simplejpeg, which tells of damage.

Pillow has the same decoder, and drops its warnings: of a file whose middle is zeros it returns a
picture that is gray below, as if nothing were wrong.
"""

import re
from typing import cast

import simplejpeg
from PIL import Image

from dermtriage.imaging.encoded_picture import EncodedPicture
from dermtriage.imaging.limits import MAX_PADDING

_COLORSPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}
"""What is decoded, by the number of coded channels."""

_PADDED_END = re.compile(r"(\d+) extraneous bytes before marker 0xd9")


def decode_jpeg(encoded: EncodedPicture, least: tuple[int, int]) -> tuple[Image.Image, int]:
    """Decode a JPEG at the smallest scale that suffices, which is several times faster.

    Parameters
    ----------
    encoded
        As `read_jpeg` returns it.
    least
        The fewest pixels across and down that suffice; a picture is never enlarged.

    Returns
    -------
    tuple
        The picture, of mode L, RGB or CMYK, and by how much it is smaller on each side: 1, 2, 4 or
        8. The size is rounded up.

    Raises
    ------
    ValueError
        If the decoder warns of damage, or cannot decode the file at all.
    """
    if encoded.channels not in _COLORSPACES:
        raise ValueError("neither gray nor three or four channels")
    enough = max(1, min(encoded.width // least[0], encoded.height // least[1]))
    scale = next(scale for scale in (8, 4, 2, 1) if scale <= enough)
    size = (-(-encoded.width // scale), -(-encoded.height // scale))
    try:
        pixels = _pixels(encoded, size, strict=True)
    except ValueError as error:
        if not _is_padded(encoded.data, str(error)):
            raise
        pixels = _pixels(encoded, size, strict=False)
    if encoded.channels == 4:
        # As Adobe's programs write them and all others follow: 0 is full ink.
        return Image.frombuffer("CMYK", size, pixels, "raw", "CMYK;I", 0, 1), scale
    mode = "L" if encoded.channels == 1 else "RGB"
    return Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1), scale


def _pixels(encoded: EncodedPicture, size: tuple[int, int], *, strict: bool) -> bytes:
    width, height = size
    pixels = simplejpeg.decode_jpeg(
        encoded.data,
        _COLORSPACES[encoded.channels],
        fastdct=False,
        fastupsample=False,
        min_width=width,
        min_height=height,
        strict=strict,
    )
    if pixels.shape[:2] != (height, width):
        raise ValueError("decoded at another size")
    return cast(bytes, pixels.tobytes())


def _is_padded(data: bytes, warning: str) -> bool:
    """Whether a warning only tells of bytes that an encoder appended to the last pixels."""
    found = _PADDED_END.search(warning)
    if found is None:
        return False
    count = int(found[1])
    padding = data[-2 - count : -2]
    return count <= MAX_PADDING or len(set(padding)) == 1

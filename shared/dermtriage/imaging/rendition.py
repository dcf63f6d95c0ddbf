"""The rendition of a photograph: the JPEG that is scored and shown in place of the original."""

import io

from PIL import Image

from dermtriage.imaging.color import to_rgb
from dermtriage.imaging.decode_limit import decode_slot
from dermtriage.imaging.decoding import damage_rejected, decode, read_photograph
from dermtriage.imaging.encoded_picture import check_pixels
from dermtriage.imaging.jpeg_decoding import decode_jpeg
from dermtriage.imaging.jpeg_metadata import read_jpeg

RENDITION_SIDE = 1024
"""The longest side of a rendition, in pixels. Smaller photographs keep their size."""

RENDITION_QUALITY = 95

RENDITION_MEDIA_TYPE = "image/jpeg"


def make_rendition(data: bytes) -> bytes:
    """Return the rendition of a photograph; equal bytes give equal renditions.

    The rendition is an upright sRGB JPEG whose longest side is at most `RENDITION_SIDE` pixels;
    transparent pixels become white. It is encoded from pixels alone, so that nothing else of the
    photograph's file is in it.

    Raises
    ------
    ImageRejected
        As `inspect` does.
    """
    with decode_slot():
        picture = decode(read_photograph(data), RENDITION_SIDE)
    # Encoders copy some of this (comments, resolution) into the file.
    picture.info.clear()
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=RENDITION_QUALITY, subsampling=0)
    return out.getvalue()


def open_rendition(data: bytes, *, min_side: int | None = None) -> Image.Image:
    """Decode a rendition into a loaded RGB image.

    Parameters
    ----------
    min_side
        The fewest pixels that the shorter side may have in the result. If a half, a quarter or an
        eighth of the size suffices, the JPEG is decoded at that size, which is faster. By default
        it is decoded at its full size.

    Raises
    ------
    ImageRejected
        If the bytes cannot be decoded, or the decoder warns of damage.
    """
    with damage_rejected():
        encoded = read_jpeg(data)
        # No lower limit: the rendition of a long strip may be narrower than what intake accepts.
        check_pixels(encoded.width, encoded.height)
        least = (min_side or encoded.width, min_side or encoded.height)
        image, _ = decode_jpeg(encoded, least)
        return to_rgb(image)


def rendition_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a rendition in pixels, read from its segments.

    Raises
    ------
    ImageRejected
        If the file is damaged.
    """
    with damage_rejected():
        encoded = read_jpeg(data)
    return encoded.width, encoded.height

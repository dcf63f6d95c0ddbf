"""The rendition of a photograph: the JPEG that is scored and shown in place of the original."""

import io

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from dermtriage.imaging.color import opaque, to_rgb, to_srgb
from dermtriage.imaging.decode_limit import decode_slot
from dermtriage.imaging.decoding import (
    ORIENTATION_TRANSPOSE,
    check_pixels,
    damage_rejected,
    open_photograph,
    orientation,
)
from dermtriage.imaging.jpeg_metadata import strip_metadata

RENDITION_SIDE = 1024
"""The longest side of a rendition, in pixels. Smaller photographs keep their size."""

RENDITION_QUALITY = 95

RENDITION_MEDIA_TYPE = "image/jpeg"


def make_rendition(data: bytes) -> bytes:
    """Return the rendition of a photograph; equal bytes give equal renditions.

    The rendition is an upright sRGB JPEG whose longest side is at most `RENDITION_SIDE` pixels,
    without any metadata; transparent pixels become white. A photograph that is such a JPEG but
    for its metadata keeps its coded pixels: encoding them again would cost time and detail.

    Raises
    ------
    ImageRejected
        As `inspect` does, if the bytes cannot be decoded. Coded pixels that are kept are not
        decoded here: `inspect` has decoded them before, and `open_rendition` does later.
    """
    with decode_slot(), damage_rejected(data):
        image = open_photograph(data)
        size = _bounded(image.size)
        if image.size == size and (stripped := _stripped(image, data)):
            return stripped
        # A JPEG decodes several times faster at a half, a quarter or an eighth of its size;
        # `draft` never goes below the size that is given to it.
        drafted = image.draft(None, size)
        box = drafted[1] if drafted else None
        image.load()
        transpose = ORIENTATION_TRANSPOSE.get(orientation(image))
        profile = image.info.get("icc_profile")
        picture = opaque(image)
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
        picture = to_srgb(picture, profile)
        if transpose is not None:
            picture = picture.transpose(transpose)
        # Encoders copy some of this (comments, resolution) into the file.
        picture.info.clear()
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=RENDITION_QUALITY, subsampling=0)
    return out.getvalue()


def _stripped(image: ImageFile.ImageFile, data: bytes) -> bytes | None:
    """Return the file without its metadata, if its pixels can stay as they are coded."""
    if not isinstance(image, JpegImageFile) or "icc_profile" in image.info:
        return None
    return strip_metadata(data) if orientation(image) == 1 else None


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
        If the bytes cannot be decoded.
    """
    with damage_rejected(data):
        image = JpegImageFile(io.BytesIO(data))
        # No lower limit: the rendition of a long strip may be narrower than what intake accepts.
        check_pixels(*image.size)
        if min_side is not None:
            image.draft(None, (min_side, min_side))
        image.load()
        return to_rgb(image)


def rendition_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a rendition in pixels, read from its header.

    Raises
    ------
    ImageRejected
        If the header cannot be read.
    """
    with damage_rejected(data):
        return JpegImageFile(io.BytesIO(data)).size


def _bounded(size: tuple[int, int]) -> tuple[int, int]:
    """Return the rendition's size for an original of this size; it is never larger."""
    scale = min(1.0, RENDITION_SIDE / max(size))
    width, height = size
    return max(1, round(width * scale)), max(1, round(height * scale))

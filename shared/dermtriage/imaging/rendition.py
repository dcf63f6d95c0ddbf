"""The rendition of a photograph, which everything downstream works from."""

import io

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from dermtriage.imaging.color import opaque, to_rgb, to_srgb
from dermtriage.imaging.decoding import (
    UPRIGHT,
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
    """Return what is scored and shown of a photograph; equal bytes give equal renditions.

    The rendition is an upright sRGB JPEG, at most `RENDITION_SIDE` pixels long, without any
    metadata. Transparent pixels show white. A photograph whose picture is that already keeps its
    coded pixels: to encode them anew costs time and detail.

    Raises
    ------
    ImageRejected
        As `inspect` does, where the bytes cannot be decoded. Pixels that are kept are not decoded
        here: `inspect` has seen them, and `open_rendition` will.
    """
    with damage_rejected(data):
        image = open_photograph(data)
        size = _bounded(image.size)
        if image.size == size and (kept := _kept(image, data)):
            return kept
        # A JPEG decodes several times faster at a half, a quarter or an eighth of its size;
        # the scale taken never lies below the rendition's.
        drafted = image.draft(None, size)
        box = drafted[1] if drafted else None
        image.load()
        turned = orientation(image)
        profile = image.info.get("icc_profile")
        picture = opaque(image)
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
        picture = to_srgb(picture, profile)
        if (turn := UPRIGHT.get(turned)) is not None:
            picture = picture.transpose(turn)
        # Encoders copy some of it (comments, resolution) into what they write.
        picture.info.clear()
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=RENDITION_QUALITY, subsampling=0)
    return out.getvalue()


def _kept(image: ImageFile.ImageFile, data: bytes) -> bytes | None:
    """Return the picture as it was coded, where nothing about it needs to change."""
    if not isinstance(image, JpegImageFile) or "icc_profile" in image.info:
        return None
    return strip_metadata(data) if orientation(image) == 1 else None


def open_rendition(data: bytes, *, least: int | None = None) -> Image.Image:
    """Decode a rendition into a loaded RGB image.

    Parameters
    ----------
    least
        Pixels that the shorter side must keep: where a half, a quarter or an eighth of the size
        will do, a JPEG decodes faster. By default it keeps its size.

    Raises
    ------
    ImageRejected
        Where the bytes cannot be decoded.
    """
    with damage_rejected(data):
        image = JpegImageFile(io.BytesIO(data))
        # No lower limit here: the rendition of a long strip may be narrower than what intake takes.
        check_pixels(*image.size)
        if least is not None:
            image.draft(None, (least, least))
        image.load()
        return to_rgb(image)


def rendition_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a rendition in pixels, by its header alone.

    Raises
    ------
    ImageRejected
        Where there is no such header.
    """
    with damage_rejected(data):
        return JpegImageFile(io.BytesIO(data)).size


def _bounded(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of the rendition, in the stored orientation; never larger."""
    scale = min(1.0, RENDITION_SIDE / max(size))
    width, height = size
    return max(1, round(width * scale)), max(1, round(height * scale))

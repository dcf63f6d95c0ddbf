"""Open a photograph with the one decoder that its first bytes call for, within limits.

This is the only place that hands untrusted bytes to a decoder. Any bytes give either a picture or
:class:`~dermtriage.core.errors.ImageRejected`.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import ExifTags, Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.limits import MAX_PIXELS, MAX_SCANS, MIN_SIDE
from dermtriage.imaging.png_chunks import PNG_SIGNATURE, check_chunks
from dermtriage.imaging.rejection import rejected

_JPEG_START = b"\xff\xd8\xff"
_JPEG_SCAN = b"\xff\xda"
_JPEG_END = b"\xff\xd9"

ORIENTATION_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation (tag 0x0112); 5 to 8 swap the sides."""


def open_photograph(data: bytes) -> ImageFile.ImageFile:
    """Read the header of a photograph and check the limits; the pixels are not decoded yet.

    Raises
    ------
    ImageRejected
        If the file is empty, no JPEG or PNG, animated, too small or too large, or if its PNG
        chunks are incomplete or damaged. Call it within `damage_rejected`: the decoder raises
        errors of its own over a damaged header.
    """
    if not data:
        raise rejected("empty_image")
    image: ImageFile.ImageFile
    if data.startswith(_JPEG_START):
        # A phone's multi-picture file (MPO) is a JPEG followed by more pictures: the first one
        # is the photograph.
        image = JpegImageFile(io.BytesIO(data))
        if image.info.get("progressive") and data.count(_JPEG_SCAN) > MAX_SCANS:
            raise rejected("corrupt_image")
    elif data.startswith(PNG_SIGNATURE):
        check_chunks(data)
        image = PngImageFile(io.BytesIO(data))
        if image.is_animated:
            raise rejected("animated_image")
    else:
        raise rejected("unsupported_media_type")
    if min(image.size) < MIN_SIDE:
        raise rejected("image_too_small", *image.size)
    check_pixels(*image.size)
    return image


def check_pixels(width: int, height: int) -> None:
    """Refuse a picture of more than `MAX_PIXELS`.

    Raises
    ------
    ImageRejected
        If it has more.
    """
    if width * height > MAX_PIXELS:
        raise rejected("image_too_large", width, height)


@contextmanager
def damage_rejected(data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises over damaged bytes into `ImageRejected`.

    Decoders raise far more than they document (``SyntaxError``, ``struct.error``, ``zlib.error``
    and others), hence the broad ``except``. `MemoryError` is no fault of the file and passes.
    """
    try:
        yield
    except (ImageRejected, MemoryError):
        raise
    except Exception as error:
        complete = data.startswith(PNG_SIGNATURE) or data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN)
        raise rejected("corrupt_image" if complete else "truncated_image") from error


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; of a PNG only after it is loaded."""
    try:
        value = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001
        # Broken EXIF is common (editors, messengers) and no reason to refuse the picture, which
        # is then shown as it is stored.
        return 1
    return value if value in ORIENTATION_TRANSPOSE else 1

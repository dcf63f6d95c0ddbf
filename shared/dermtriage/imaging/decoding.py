"""Decode a photograph with the one decoder that its first bytes call for, within limits.

This is the only place that hands untrusted bytes to a decoder. Any bytes give either a picture or
:class:`~dermtriage.core.errors.ImageRejected`.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging import exif
from dermtriage.imaging.color import opaque, to_srgb
from dermtriage.imaging.color_profiles import adobe_rgb
from dermtriage.imaging.encoded_picture import EncodedPicture, check_size
from dermtriage.imaging.jpeg_decoding import decode_jpeg
from dermtriage.imaging.jpeg_metadata import JPEG_START, read_jpeg
from dermtriage.imaging.png_chunks import PNG_SIGNATURE, read_png
from dermtriage.imaging.rejection import rejected

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation."""

_Box = tuple[float, float, float, float]


def read_photograph(data: bytes) -> EncodedPicture:
    """Read the structure of a photograph and check the limits; the pixels are not decoded.

    Raises
    ------
    ImageRejected
        If the file is empty, no JPEG or PNG, incomplete, animated, too small or too large, or if
        its structure is damaged.
    """
    if not data:
        raise rejected("empty_image")
    if data.startswith(JPEG_START):
        # A phone's multi-picture file (MPO) is a JPEG followed by more pictures: the first one
        # is the photograph.
        encoded = read_jpeg(data)
    elif data.startswith(PNG_SIGNATURE):
        encoded = read_png(data)
    else:
        raise rejected("unsupported_media_type")
    check_size(encoded.width, encoded.height)
    return encoded


def decode(encoded: EncodedPicture, longest_side: int) -> Image.Image:
    """Decode a picture: upright, sRGB, opaque, and no longer than `longest_side`; never enlarged.

    Raises
    ------
    ImageRejected
        If the pixels cannot be decoded, or the decoder warns of damage.
    """
    with damage_rejected():
        size = _bounded(encoded.width, encoded.height, longest_side)
        image, box = _decoded(encoded, size)
        picture = opaque(image)
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
        profile = encoded.profile
        if not profile and picture.mode == "RGB" and exif.is_adobe_rgb(encoded.exif):
            profile = adobe_rgb()
        picture = to_srgb(picture, profile)
        transpose = _TRANSPOSE.get(exif.orientation(encoded.exif))
        return picture if transpose is None else picture.transpose(transpose)


@contextmanager
def damage_rejected() -> Iterator[None]:
    """Turn whatever a decoder raises over damaged bytes into `ImageRejected`.

    Decoders raise far more than they document (``SyntaxError``, ``struct.error``, ``zlib.error``
    and others), hence the broad ``except``. `MemoryError` is no fault of the file and passes.
    """
    try:
        yield
    except (ImageRejected, MemoryError):
        raise
    except Exception as error:
        raise rejected("corrupt_image") from error


def _decoded(encoded: EncodedPicture, size: tuple[int, int]) -> tuple[Image.Image, _Box]:
    """Return the pixels, and the box of them that the picture fills."""
    width, height = encoded.width, encoded.height
    if encoded.media_type == "image/png":
        png = PngImageFile(io.BytesIO(encoded.data))
        png.load()
        return png, (0, 0, width, height)
    image, scale = decode_jpeg(encoded, size)
    return image, (0, 0, width / scale, height / scale)


def _bounded(width: int, height: int, longest_side: int) -> tuple[int, int]:
    """Return the size at which a picture is no longer than `longest_side`."""
    scale = min(1.0, longest_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))

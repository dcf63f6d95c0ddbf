"""Open a photograph with the one decoder that its first bytes call for, within limits.

This is the only place that hands a stranger's bytes to a decoder. Whatever they hold, it answers
with a picture or with :class:`~dermtriage.core.errors.ImageRejected`.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import ExifTags, Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from dermtriage.core.errors import ImageRejected

ACCEPTED_MEDIA_TYPES = ("image/jpeg", "image/png")
"""What a photograph may be, judged by its content and never by its name or header."""


MIN_SIDE = 64
"""The shortest side that is accepted, in pixels."""


MAX_PIXELS = 50_000_000
"""The most pixels that are accepted; read from the header, before any memory is taken."""


MAX_SCANS = 200
"""The most scans of a progressive JPEG. Encoders write about ten; each costs the decoder a walk
over the whole picture, so that a file of a few megabytes could otherwise keep it busy for hours."""


_JPEG_MAGIC = b"\xff\xd8\xff"


_JPEG_SCAN = b"\xff\xda"


_JPEG_END = b"\xff\xd9"


_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


_SEND_AGAIN = (
    "Send the file again; if it is refused again, take the photograph again"
    " or export it as a standard JPEG or PNG."
)


_REASONS = {
    "empty_image": ("The file is empty.", "Check that it opens on your device; send it again."),
    "unsupported_media_type": (
        f"The file is no JPEG or PNG by its content; accepted: {', '.join(ACCEPTED_MEDIA_TYPES)}.",
        "Export it as JPEG or PNG; on an iPhone: Settings > Camera > Formats > Most Compatible.",
    ),
    "truncated_image": ("The photograph did not arrive whole: its end is missing.", _SEND_AGAIN),
    "corrupt_image": ("The photograph is damaged and cannot be decoded.", _SEND_AGAIN),
    "animated_image": ("The PNG is animated.", "Send one still photograph."),
    "image_too_small": (
        f"The photograph measures {{}} x {{}} pixels; each side needs at least {MIN_SIDE}.",
        "Send the original photograph, not a thumbnail.",
    ),
    "image_too_large": (
        f"The photograph measures {{}} x {{}} pixels; at most {MAX_PIXELS:,} in all are accepted.",
        "Crop it to the lesion and its surroundings, or send it at a smaller size.",
    ),
}
"""Every code with what happened and what to do; the size stands in for the braces."""


UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation (tag 0x0112); 5 to 8 lie sideways."""


def open_photograph(data: bytes) -> ImageFile.ImageFile:
    """Read the header with the one decoder that the first bytes call for, and check the limits."""
    if not data:
        raise _rejected("empty_image")
    image: ImageFile.ImageFile
    if data.startswith(_JPEG_MAGIC):
        # Phones' multi-picture files (MPO) are JPEGs with more behind them: the first picture
        # is the photograph.
        image = JpegImageFile(io.BytesIO(data))
        if image.info.get("progressive") and data.count(_JPEG_SCAN) > MAX_SCANS:
            raise _rejected("corrupt_image")
    elif data.startswith(_PNG_MAGIC):
        _check_chunks(data)
        image = PngImageFile(io.BytesIO(data))
        if image.is_animated:
            raise _rejected("animated_image")
    else:
        raise _rejected("unsupported_media_type")
    if min(image.size) < MIN_SIDE:
        raise _rejected("image_too_small", *image.size)
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
        raise _rejected("image_too_large", width, height)


def _check_chunks(data: bytes) -> None:
    """Check that every PNG chunk up to the end marker is there and sums up (PNG, section 5.3).

    The decoder alone forgives a missing end and does not look at the sums of pixel data.
    """
    view = memoryview(data)
    position = len(_PNG_MAGIC)
    kind = b""
    while kind != b"IEND":
        if len(data) - position < 12:
            raise _rejected("truncated_image")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise _rejected("truncated_image")
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            raise _rejected("corrupt_image")
        position = end


@contextmanager
def damage_rejected(data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises over damaged bytes into `ImageRejected`.

    Decoders raise far more than they document (``SyntaxError``, ``struct.error``, ``zlib.error``
    and others), hence the breadth. Memory running out says nothing about the image and passes.
    """
    try:
        yield
    except (ImageRejected, MemoryError):
        raise
    except Exception as error:
        whole = data.startswith(_PNG_MAGIC) or data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN)
        raise _rejected("corrupt_image" if whole else "truncated_image") from error


def _rejected(code: str, *size: int) -> ImageRejected:
    detail, remedy = _REASONS[code]
    return ImageRejected(detail.format(*size), code=code, remedy=remedy)


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; of a PNG only after it is loaded."""
    try:
        value = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001
        # Broken EXIF is common (editors, messengers) and takes nothing from the picture, which
        # is then shown as it is stored.
        return 1
    return value if value in UPRIGHT else 1

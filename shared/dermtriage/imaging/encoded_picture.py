"""A photograph's file, reduced to what its picture needs."""

from dataclasses import dataclass, field

from dermtriage.imaging.limits import MAX_PIXELS, MIN_SIDE
from dermtriage.imaging.rejection import rejected


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """The coded pixels of a photograph, and what its metadata say of place and colour.

    Attributes
    ----------
    media_type
        ``image/jpeg`` or ``image/png``, by content.
    width, height
        Size in pixels as coded, before the EXIF orientation is applied.
    channels
        Of a JPEG: 1, 3 or 4. Of a PNG 0: its decoder tells.
    data
        A whole file of this type, without metadata, previews and whatever follows its end.
    exif
        The EXIF data, a TIFF structure; empty if there is none. Not checked.
    profile
        The ICC profile of the pixels; empty if there is none. Not checked.
    """

    media_type: str
    width: int
    height: int
    channels: int
    data: bytes = field(repr=False)
    exif: bytes = field(default=b"", repr=False)
    profile: bytes = field(default=b"", repr=False)


def check_size(width: int, height: int) -> None:
    """Refuse a photograph that is too small or too large.

    Raises
    ------
    ImageRejected
        With the code ``image_too_small`` or ``image_too_large``.
    """
    if min(width, height) < MIN_SIDE:
        raise rejected("image_too_small", width, height)
    check_pixels(width, height)


def check_pixels(width: int, height: int) -> None:
    """Refuse a picture of more than `MAX_PIXELS`.

    Raises
    ------
    ImageRejected
        If it has more.
    """
    if width * height > MAX_PIXELS:
        raise rejected("image_too_large", width, height)

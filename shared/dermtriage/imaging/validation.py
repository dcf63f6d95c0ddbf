"""Whether a file is an acceptable photograph."""

from dataclasses import dataclass

from dermtriage.imaging import exif
from dermtriage.imaging.decoding import decode, read_photograph

_PROOF_SIDE = 64
"""The longest side, in pixels, of the picture that proves that a rendition can be made. The
decoder reads all of a file for the smallest picture too, and most cheaply."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The properties of one accepted photograph.

    Attributes
    ----------
    media_type
        ``image/jpeg`` or ``image/png``, by content.
    width, height
        Size in pixels as seen upright, after the EXIF orientation.
    """

    media_type: str
    width: int
    height: int


def inspect(data: bytes) -> ImageFacts:
    """Check that the bytes are an acceptable photograph: complete, undamaged, within the limits.

    The picture is decoded as for its rendition, but smaller. Bytes after its end are accepted,
    since phones append clips and second frames there; they are never decoded and never served.

    Raises
    ------
    ImageRejected
        With the code ``empty_image``, ``unsupported_media_type``, ``truncated_image``,
        ``corrupt_image``, ``animated_image``, ``image_too_small`` or ``image_too_large``.
    """
    encoded = read_photograph(data)
    decode(encoded, _PROOF_SIDE)
    width, height = encoded.width, encoded.height
    if exif.orientation(encoded.exif) >= 5:  # the picture lies on its side
        width, height = height, width
    return ImageFacts(encoded.media_type, width, height)

"""Whether a file is an acceptable photograph."""

from dataclasses import dataclass

from PIL.JpegImagePlugin import JpegImageFile

from dermtriage.imaging.decode_limit import decode_slot
from dermtriage.imaging.decoding import damage_rejected, open_photograph, orientation


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
    """Check that the bytes are an acceptable photograph and complete.

    Bytes after the end of the picture are accepted, since phones append clips and second frames
    there; they are never decoded and never served.

    Raises
    ------
    ImageRejected
        With the code ``empty_image``, ``unsupported_media_type``, ``truncated_image``,
        ``corrupt_image``, ``animated_image``, ``image_too_small`` or ``image_too_large``.
    """
    with decode_slot(), damage_rejected(data):
        image = open_photograph(data)
        width, height = image.size
        # The smallest scale in grayscale is cheapest, and the decoder still reads the whole file,
        # so that a missing end is noticed.
        image.draft("L", (1, 1))
        image.load()
        if orientation(image) >= 5:  # the picture lies on its side
            width, height = height, width
    media_type = "image/jpeg" if isinstance(image, JpegImageFile) else "image/png"
    return ImageFacts(media_type, width, height)

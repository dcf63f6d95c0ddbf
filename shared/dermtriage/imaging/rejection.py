"""Why a file is rejected as a photograph: a code, what happened, and what to do."""

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.limits import ACCEPTED_MEDIA_TYPES, MAX_PIXELS, MIN_SIDE

_SEND_AGAIN = (
    "Send the file again; if it is refused again, take the photograph again"
    " or export it as a standard JPEG or PNG."
)

_REASONS = {
    "empty_image": ("The file is empty.", "Check that it opens on your device; send it again."),
    "unsupported_media_type": (
        f"The content of the file is neither JPEG nor PNG; accepted:"
        f" {', '.join(ACCEPTED_MEDIA_TYPES)}.",
        "Export it as JPEG or PNG; on an iPhone: Settings > Camera > Formats > Most Compatible.",
    ),
    "truncated_image": (
        "The photograph is incomplete: the end of the file is missing.",
        _SEND_AGAIN,
    ),
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
"""By code the detail and the remedy; the braces take width and height."""


def rejected(code: str, *size: int) -> ImageRejected:
    """Return the error of this code, for a photograph of this width and height."""
    detail, remedy = _REASONS[code]
    return ImageRejected(detail.format(*size), code=code, remedy=remedy)

"""What becomes of a decoded picture's colours: sRGB with 8 bits a channel, nothing transparent."""

import io
from functools import cache

from PIL import Image, ImageCms


def opaque(image: Image.Image) -> Image.Image:
    """Return the picture as L, RGB or CMYK with 8 bits a channel and nothing transparent."""
    if image.mode.startswith("I"):
        # A plain conversion would cut 16-bit values off at 255 and leave a white picture.
        return image.convert("I").point(_sixteen_to_eight_bits(), "L")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")


@cache
def _sixteen_to_eight_bits() -> tuple[int, ...]:
    return tuple((value * 255 + 32767) // 65535 for value in range(65536))


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the picture as RGB, its colours carried to sRGB through the embedded profile."""
    if profile:
        try:
            transform = ImageCms.ImageCmsTransform(
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
                picture.mode,
                "RGB",
                ImageCms.Intent.RELATIVE_COLORIMETRIC,
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            return transform.apply(picture)
        except (OSError, TypeError, ValueError):
            # A profile that is broken or made for another mode is worth less than none: without
            # one, viewers take a picture as sRGB too.
            pass
    return to_rgb(picture)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return the picture as RGB; one that is RGB already comes back itself, as no copy."""
    return picture if picture.mode == "RGB" else picture.convert("RGB")

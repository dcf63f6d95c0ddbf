"""Conversion of a decoded picture to sRGB with 8 bits per channel, without transparency."""

import io
from functools import cache

from PIL import Image, ImageCms


def opaque(image: Image.Image) -> Image.Image:
    """Return the picture as L, RGB or CMYK with 8 bits per channel, on white if transparent."""
    if image.mode.startswith("I"):
        # `convert("L")` would clip 16-bit values at 255 and leave a white picture.
        return image.convert("I").point(_sixteen_to_eight_bits(), "L")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")


@cache
def _sixteen_to_eight_bits() -> tuple[int, ...]:
    return tuple((value * 255 + 32767) // 65535 for value in range(65536))


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the picture as sRGB, converted from its embedded ICC profile if it has one."""
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
            # A profile that is broken or made for another mode is ignored: viewers treat a
            # picture without a profile as sRGB too.
            pass
    return to_rgb(picture)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return the picture as RGB; one that is RGB already is returned itself, not copied."""
    return picture if picture.mode == "RGB" else picture.convert("RGB")

"""Conversion of a decoded picture to sRGB with 8 bits per channel, without transparency."""

import io
from functools import cache, lru_cache

from PIL import Image, ImageCms


def opaque(image: Image.Image) -> Image.Image:
    """Return the picture as L, RGB or CMYK with 8 bits per channel, on white if transparent."""
    if image.mode.startswith("I"):
        # `convert("L")` would clip 16-bit values at 255 and leave a white picture.
        return image.convert("I").point(_sixteen_to_eight_bits(), "L")
    if image.has_transparency_data:
        # Pasting takes half of the memory of `alpha_composite`: 9 bytes per pixel.
        seen = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(seen, mask=seen.getchannel("A"))
        return white
    return image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")


@cache
def _sixteen_to_eight_bits() -> tuple[int, ...]:
    return tuple((value * 255 + 32767) // 65535 for value in range(65536))


def to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Return the picture as sRGB, converted from this ICC profile if there is one."""
    if profile:
        try:
            return _transform(profile, picture.mode).apply(picture)
        except (OSError, TypeError, ValueError):
            # A profile that is broken or made for another mode is ignored: viewers treat a
            # picture without a profile as sRGB too.
            pass
    return to_rgb(picture)


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    """Return the conversion; making it takes 2 ms, and a clinic's cameras have few profiles."""
    return ImageCms.ImageCmsTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        # Without its cache of the last pixel, threads can use it at the same time.
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE,
    )


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return the picture as RGB; one that is RGB already is returned itself, not copied."""
    return picture if picture.mode == "RGB" else picture.convert("RGB")

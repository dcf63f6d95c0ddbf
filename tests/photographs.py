"""Small photographs for tests."""

import hashlib
import io

from PIL import Image, ImageDraw


def jpeg(seed: int = 0, size: tuple[int, int] = (160, 120)) -> bytes:
    """Return a small JPEG whose bytes differ for each seed."""
    image = Image.new("RGB", size, (200, 160, 140))
    x = 20 + seed * 7 % (size[0] - 60)
    ImageDraw.Draw(image).ellipse((x, 30, x + 40, 70), fill=(90 + seed % 100, 50, 40))
    image.putpixel((seed % size[0], seed // size[0] % 20), (0, 255, 0))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95)
    return out.getvalue() + seed.to_bytes(4, "big")


def sha256(data: bytes) -> str:
    """Return the SHA-256 as a clinic would send it."""
    return hashlib.sha256(data).hexdigest()

"""Malformed photographs: whole files of every kind, each changed in one place of its structure."""

import io
import random
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from PIL import Image, ImageCms

SECRET = b"Jane Secret, born 12 March"
"""Planted wherever a file can hold it."""

PNG_START = b"\x89PNG\r\n\x1a\n"

Named = tuple[str, bytes]


def picture(mode: str = "RGB", size: tuple[int, int] = (96, 80)) -> Image.Image:
    """Return a picture with detail in every block."""
    bands = [Image.effect_noise(size, 60 + 10 * band) for band in range(3)]
    return Image.merge("RGB", bands).convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the file of a picture."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@cache
def whole_jpegs() -> dict[str, bytes]:
    """Return JPEGs that nothing is wrong with, by their kind."""
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options: dict[str, tuple[str, dict[str, Any]]] = {
        "baseline": ("RGB", {"exif": exif, "icc_profile": profile, "comment": SECRET}),
        "progressive": ("RGB", {"progressive": True}),
        "gray": ("L", {}),
        "cmyk": ("CMYK", {}),
        "restarts": ("RGB", {"restart_marker_blocks": 2}),
    }
    return {
        name: encoded(picture(mode), "JPEG", **given) for name, (mode, given) in options.items()
    }


@cache
def whole_pngs() -> dict[str, bytes]:
    """Return PNGs that nothing is wrong with, by their kind."""
    made = {mode: encoded(picture(mode), "PNG") for mode in ("1", "L", "LA", "RGB", "RGBA")}
    made["P"] = encoded(picture().quantize(16), "PNG", transparency=3)
    deep = Image.new("I;16", (96, 80), 40_000)
    return made | {"I;16": encoded(deep, "PNG")}


def segment(marker: int, content: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG, with its checksum."""
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(header: bytes, *chunks: bytes) -> bytes:
    """Return a PNG of a header's fields and other chunks."""
    return PNG_START + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def corpus() -> Iterator[Named]:
    """Yield a name and the bytes of every file."""
    for kind, data in whole_jpegs().items():
        for name, changed in _changed_jpegs(data):
            yield f"{kind} JPEG, {name}", changed
    for kind, data in whole_pngs().items():
        for name, changed in _changed_pngs(data):
            yield f"PNG of mode {kind}, {name}", changed
    yield from _headers()
    yield from _polyglots()
    yield from _bombs()


def _jpeg_parts(data: bytes) -> list[bytes]:
    """Split a JPEG into its start, segments (a scan with its pixels), and end."""
    parts, position = [data[:2]], 2
    while data[position + 1] != 0xD9:
        end = position + 2 + int(struct.unpack_from(">H", data, position + 2)[0])
        if data[position + 1] == 0xDA:
            while data[end] != 0xFF or data[end + 1] in {0, *range(0xD0, 0xD8)}:
                end += 1
        parts.append(data[position:end])
        position = end
    return [*parts, data[position:]]


def _changed_jpegs(data: bytes) -> Iterator[Named]:
    parts = _jpeg_parts(data)

    def at(index: int, *replacement: bytes) -> bytes:
        return b"".join([*parts[:index], *replacement, *parts[index + 1 :]])

    yield "whole", data
    for index, part in enumerate(parts):
        place = f"part {index} ({part[1]:x})"
        before, middle = b"".join(parts[:index]), len(part) // 2
        for kept in (0, 1, 2, 3, 4, middle):
            yield f"cut in {place} after {kept}", before + part[:kept]
            yield f"cut in {place} after {kept}, ended", before + part[:kept] + b"\xff\xd9"
        yield f"{place} left out", at(index)
        yield f"{place} twice", at(index, part, part)
        yield (
            f"{place} moved behind the next",
            b"".join([*parts[:index], *parts[index + 1 : index + 2], part, *parts[index + 2 :]]),
        )
        yield f"{place} without content", at(index, part[:4])
        for length in (0, 1, 2, len(part) // 2, len(part) + 40, 65535):
            yield (
                f"{place} with length {length}",
                at(index, part[:2] + struct.pack(">H", length) + part[4:]),
            )
        for byte in (0, 255):
            half = bytes([byte]) * (len(part) - middle)
            yield f"{place} half of {byte}", at(index, part[:middle] + half)
        yield f"{place} short by a byte", at(index, part[:-1])
        for marker in (0xC0, 0xC4, 0xD8, 0xDA, 0xDB, 0xDC, 0xDD, 0xE1, 0xE2, 0xFE):
            yield f"a segment {marker:x} before {place}", at(index, segment(marker, SECRET), part)
        yield f"{SECRET[:4]!r} before {place}", at(index, SECRET, part)
        random_bytes = random.Random(index)
        for number in range(6):
            damaged = bytearray(part)
            damaged[random_bytes.randrange(len(part))] = random_bytes.randrange(256)
            yield f"{place} damaged, {number}", at(index, bytes(damaged))


def _png_parts(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the kind and content of each chunk."""
    parts, position = [], len(PNG_START)
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        parts.append((kind, data[position + 8 : position + 8 + length]))
        position += 12 + length
    return parts


def _changed_pngs(data: bytes) -> Iterator[Named]:
    parts = _png_parts(data)

    def at(index: int, *replacement: tuple[bytes, bytes]) -> bytes:
        changed = [*parts[:index], *replacement, *parts[index + 1 :]]
        return PNG_START + b"".join(chunk(kind, content) for kind, content in changed)

    yield "whole", data
    for index, (kind, content) in enumerate(parts):
        name = kind.decode()
        yield f"{name} left out", at(index)
        yield f"{name} twice", at(index, (kind, content), (kind, content))
        for other in (b"PLTE", b"tRNS", b"IDAT", b"IHDR", b"IEND", b"iCCP", b"tEXt", b"eXIf"):
            for planted in (b"", SECRET, bytes(300)):
                given = (other, planted)
                place = f"{other.decode()} of {len(planted)}"
                yield f"{place} before {name}", at(index, given, (kind, content))
                yield f"{place} for {name}", at(index, given)
        for length in (0, 1, len(content) // 2, max(0, len(content) - 1)):
            yield f"{name} cut to {length}", at(index, (kind, content[:length]))
        yield f"{name} with more", at(index, (kind, content + bytes(300)))
        random_bytes = random.Random(index)
        for number in range(12 if content else 0):
            damaged = bytearray(content)
            damaged[random_bytes.randrange(len(content))] = random_bytes.randrange(256)
            yield f"{name} damaged, {number}", at(index, (kind, bytes(damaged)))
    for kept in range(0, len(data), max(1, len(data) // 40)):
        yield f"cut after {kept}", data[:kept]


def _headers() -> Iterator[Named]:
    """Yield PNGs of every depth, colour type and interlacing, with and without a palette."""
    pixels = chunk(b"IDAT", zlib.compress(bytes(80 * 80 * 8 + 400)))
    palette = chunk(b"PLTE", bytes(768))
    for depth in (0, 1, 2, 3, 4, 8, 16, 32):
        for colour_type in range(8):
            for method in ((0, 0, 0), (0, 0, 1), (1, 0, 0), (0, 1, 0), (0, 0, 2)):
                header = struct.pack(">IIBBBBB", 80, 80, depth, colour_type, *method)
                name = f"PNG header {depth} {colour_type} {method}"
                yield name, png(header, pixels)
                yield f"{name}, palette", png(header, palette, pixels)


def _polyglots() -> Iterator[Named]:
    zipped = b"PK\x03\x04" + SECRET + b"PK\x05\x06" + bytes(18)
    page = b"<html><script>" + SECRET + b"</script></html>"
    jpeg, drawing = whole_jpegs()["baseline"], whole_pngs()["RGB"]
    for name, other in {"ZIP": zipped, "HTML": page, "PDF": b"%PDF-1.7" + SECRET}.items():
        yield f"JPEG, then {name}", jpeg + other
        yield f"PNG, then {name}", drawing + other
        yield f"{name}, then JPEG", other + jpeg
        yield f"JPEG with {name} in a comment", jpeg[:2] + segment(0xFE, other) + jpeg[2:]
    yield "JPEG, then PNG", jpeg + drawing
    yield "PNG, then JPEG", drawing + jpeg
    yield "GIF that says JPEG", b"\xff\xd8\xff" + encoded(picture(), "GIF")


def _bombs() -> Iterator[Named]:
    plain, progressive = whole_jpegs()["gray"], whole_jpegs()["progressive"]
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    floods: dict[str, bytes] = {
        "EXIF segments": segment(0xE1, b"Exif\0\0" + bytes(10)),
        "ICC segments": segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(90)),
        "empty segments": segment(0xE5, b""),
        "fill": b"\xff",
        "quantisation tables": segment(0xDB, b"\0" + bytes(range(1, 65))),
        "restart intervals": segment(0xDD, b"\0\1"),
        "restart markers": b"\xff\xd0",
        "comments": segment(0xFE, SECRET * 2000),
    }
    for name, flood in floods.items():
        yield f"flood of {name}", plain[:2] + flood * (4_000_000 // len(flood)) + plain[2:]
        in_scan = flood * (1_000_000 // len(flood))
        yield f"flood of {name} behind the scan", plain[:-2] + in_scan + plain[-2:]
    baseline_scan = plain[plain.index(b"\xff\xda") : -2]
    yield "a thousand baseline scans", plain[:-2] + baseline_scan * 1000 + plain[-2:]
    yield "5,000 progressive scans", progressive[:-2] + scan * 5000 + progressive[-2:]
    yield "megabytes behind the end", progressive + (b"\xff\xda" + bytes(50)) * 100_000
    for size in ((65_500, 65_500), (8160, 6144), (65_500, 64)):
        yield f"JPEG of {size} without pixels", _resized(plain, size)
        yield f"progressive JPEG of {size} without pixels", _resized(progressive, size)
    for depth, colour_type, side in ((8, 2, 7000), (16, 6, 5000), (1, 0, 7100), (8, 6, 7100)):
        for interlaced in (0, 1):
            header = struct.pack(">IIBBBBB", side, side, depth, colour_type, 0, 0, interlaced)
            yield (
                f"PNG {depth} {colour_type} {side} {interlaced} without pixels",
                png(header, chunk(b"IDAT", zlib.compress(bytes(1000)))),
            )
    drawing = whole_pngs()["L"]
    for kind, name in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        planted = chunk(kind, name + zlib.compress(bytes(20_000_000)))
        yield f"{kind.decode()} that inflates", drawing[:33] + planted + drawing[33:]
    yield "flood of chunks", drawing[:33] + chunk(b"tEXt", b"a\0") * 200_000 + drawing[33:]
    yield "flood of pixel chunks", drawing[:33] + chunk(b"IDAT", b"") * 200_000 + drawing[33:]


def _resized(jpeg: bytes, size: tuple[int, int]) -> bytes:
    data = bytearray(jpeg)
    frame = min(place for kind in (b"\xff\xc0", b"\xff\xc2") if (place := data.find(kind)) >= 0)
    struct.pack_into(">HH", data, frame + 5, size[1], size[0])
    return bytes(data)

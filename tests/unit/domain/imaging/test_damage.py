"""Photographs whose pixels are damaged are refused; harmless irregularities are not."""

import random

import pytest
from PIL import Image, ImageFilter
from tests.unit.domain.imaging.pictures import encode, jpeg_segment, photograph, with_segments

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.rendition import make_rendition, open_rendition
from dermtriage.imaging.validation import inspect

TEXTURE = Image.merge(
    "RGB", [Image.effect_noise((400, 300), 80).filter(ImageFilter.BoxBlur(2))] * 3
)
KINDS = {
    "baseline": encode(TEXTURE, quality=90),
    "progressive": encode(TEXTURE, quality=90, progressive=True),
    "restarts": encode(TEXTURE, quality=90, restart_marker_blocks=5),
    "gray": encode(TEXTURE.convert("L"), quality=90),
    "cmyk": encode(TEXTURE.convert("CMYK"), quality=90),
}


def code_of(data: bytes) -> str:
    with pytest.raises(ImageRejected) as caught:
        inspect(data)
    with pytest.raises(ImageRejected):
        make_rendition(data)
    return caught.value.code


@pytest.fixture(params=KINDS)
def whole(request: pytest.FixtureRequest) -> bytes:
    data = KINDS[request.param]
    assert (inspect(data).width, inspect(data).height) == (400, 300)
    return data


@pytest.mark.parametrize("share", [0.1, 0.33, 0.6])
def test_zeros_in_place_of_pixels(whole: bytes, share: float) -> None:
    start, length = len(whole) // 3, int(share * len(whole))
    assert code_of(whole[:start] + bytes(length) + whole[start + length :]) == "corrupt_image"


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_lost_pixels(whole: bytes, share: float) -> None:
    start = len(whole) // 3
    assert code_of(whole[:start] + whole[start + int(share * len(whole)) :]) == "corrupt_image"


def test_a_cut_file_with_an_end_put_behind_it(whole: bytes) -> None:
    first_scan = whole.index(b"\xff\xda")
    cuts = random.Random(1).sample(range(first_scan + 20, len(whole) - 40), 60)
    for cut in cuts:
        assert code_of(whole[:cut].rstrip(b"\xff") + b"\xff\xd9") == "corrupt_image", cut


@pytest.mark.parametrize("garbage", [b"\0" * 3, b"abc", b"\0" * 500, b"\xff" * 7])
def test_garbage_before_a_header_is_passed_over(whole: bytes, garbage: bytes) -> None:
    data = with_segments(whole, jpeg_segment(0xFE, b"comment"), garbage)
    assert inspect(data) == inspect(whole)
    assert make_rendition(data) == make_rendition(whole)


@pytest.mark.parametrize("padding", [b"abc", b"\0" * 2000, b"\x55" * 500])
def test_padding_before_the_end_is_passed_over(whole: bytes, padding: bytes) -> None:
    data = whole[:-2] + padding + whole[-2:]
    assert inspect(data) == inspect(whole)
    assert make_rendition(data) == make_rendition(whole)


def test_many_pixels_too_many_are_damage() -> None:
    whole = KINDS["baseline"]
    middle = len(whole) // 2
    assert code_of(whole[:middle] + whole[middle - 3000 :]) == "corrupt_image"


def test_a_stored_rendition_that_was_damaged_is_refused() -> None:
    rendition = make_rendition(encode(photograph(600, 450)))
    start = len(rendition) // 2
    damaged = rendition[:start] + bytes(800) + rendition[start + 800 :]
    for min_side in (None, 100):
        open_rendition(rendition, min_side=min_side)
        with pytest.raises(ImageRejected):
            open_rendition(damaged, min_side=min_side)

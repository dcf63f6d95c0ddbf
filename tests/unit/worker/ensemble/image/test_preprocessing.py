"""From a photograph to the square that networks see."""

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dermtriage_worker.ensemble.image.preprocessing import (
    CANONICAL_SIZE,
    decode_for,
    normalise,
    prepare,
    resample,
)


def _scene(width: int, height: int) -> Image.Image:
    """A smooth scene that looks the same at every size: a dark disc on a coloured slope."""
    y, x = np.mgrid[0:height, 0:width]
    across = (x + 0.5 - width / 2) / min(width, height)
    down = (y + 0.5 - height / 2) / min(width, height)
    disc = 1 / (1 + np.exp((np.hypot(across, down) - 0.25) * 40))
    base = np.stack([200 + 40 * across, 150 + 40 * down, np.full_like(across, 130)], -1)
    return Image.fromarray((base * (1 - 0.6 * disc[..., None])).clip(0, 255).astype(np.uint8))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700))
def test_every_size_gives_the_same_square(width: int, height: int) -> None:
    square = prepare(Image.new("RGB", (width, height), (10, 120, 250)))
    assert square.dtype == torch.uint8
    assert square.shape == (3, CANONICAL_SIZE, CANONICAL_SIZE)
    assert square.flatten(1).unique(dim=1).flatten().tolist() == [10, 120, 250]


@pytest.mark.parametrize("size", [(600, 450), (450, 600), (1024, 768), (333, 777), (2001, 1333)])
def test_resolutions_and_aspects_show_comparable_content(size: tuple[int, int]) -> None:
    reference = prepare(_scene(200, 150)).float()
    assert (prepare(_scene(*size)).float() - reference).abs().max() <= 3


def test_circles_stay_round() -> None:
    dark = prepare(_scene(1024, 400)).float().mean(0) < 110
    assert abs(int(dark.any(0).sum()) - int(dark.any(1).sum())) <= 1


def test_training_frame_and_served_square_are_the_same_pixels() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    image = Image.fromarray(frame)
    served = prepare(image)
    assert np.array_equal(served.permute(1, 2, 0).numpy(), frame[:, 25:175])
    assert torch.equal(resample(image, 200, 150)[:, :, 25:175], served)


@pytest.mark.parametrize(
    ("size", "nearly"), [((200, 150), 0), ((440, 330), 0), ((600, 450), 2), ((1024, 768), 2)]
)
def test_a_rendition_is_decoded_no_further_than_needed(size: tuple[int, int], nearly: int) -> None:
    out = io.BytesIO()
    _scene(*size).save(out, "JPEG", quality=95, subsampling=0)
    whole = prepare(Image.open(out)).float()
    square = prepare(decode_for(out.getvalue()))
    assert square.shape == (3, CANONICAL_SIZE, CANONICAL_SIZE)
    assert (square.float() - whole).abs().max() <= nearly


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((900, 1200, 3), np.uint8)
    stripes[:, ::2] = 255
    assert prepare(Image.fromarray(stripes)).float().std() < 8


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_modes_are_converted(mode: str) -> None:
    image = _scene(300, 300).convert(mode)
    assert torch.equal(prepare(image), prepare(image.convert("RGB")))


def test_normalise_scales_and_resizes() -> None:
    batch = torch.full((2, 3, 150, 150), 255, dtype=torch.uint8)
    values = normalise(batch, 64, (0.5, 0.4, 0.0), (0.25, 0.2, 1.0))
    assert values.shape == (2, 3, 64, 64)
    assert values.dtype == torch.float32
    for channel, expected in enumerate((2.0, 3.0, 1.0)):
        assert math.isclose(float(values[:, channel].mean()), expected, abs_tol=1e-4)

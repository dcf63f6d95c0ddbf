"""Figures of quality tell what was done to a photograph."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from dermtriage.imaging.retake_advice import quality_reasons
from dermtriage_worker.ensemble.image.preprocessing import prepare
from dermtriage_worker.ensemble.image.quality import measure_quality

SKIN, MOLE = (214, 170, 150), (95, 60, 50)


def photograph(
    size: int = 300, radius: float = 0.15, at: tuple[float, float] = (0.5, 0.5)
) -> Image.Image:
    """Draw a mole on skin that has a sensor's noise and pores."""
    image = Image.new("RGB", (size, size), SKIN)
    draw = ImageDraw.Draw(image)
    x, y, reach = at[0] * size, at[1] * size, radius * size
    draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=MOLE)
    for row in range(0, size, 12):
        for column in range(0, size, 12):
            draw.point((column, row), fill=(180, 130, 110))
    noise = Image.effect_noise((size, size), 20).convert("RGB")
    return Image.blend(image, noise, 0.06)


def advice(image: Image.Image) -> list[str]:
    (figures,) = measure_quality([prepare(image)])
    return list(quality_reasons(figures, width=600, height=450))


def test_a_good_photograph_gets_no_advice() -> None:
    assert advice(photograph()) == []


def test_blur_is_seen() -> None:
    assert advice(photograph().filter(ImageFilter.GaussianBlur(8))) == ["blurry"]


@pytest.mark.parametrize("exposure", [0.35, 2.2])
def test_wrong_exposure_is_seen(exposure: float) -> None:
    image = photograph().point(lambda level: min(255, round(level * exposure)))
    assert "bad_lighting" in advice(image)


def test_a_lesion_at_the_edge_is_badly_framed() -> None:
    assert advice(photograph(at=(0.95, 0.93))) == ["bad_framing"]


def test_skin_without_a_lesion_is_badly_framed() -> None:
    assert "bad_framing" in advice(photograph(radius=0))


def test_a_lesion_far_away_is_too_distant() -> None:
    assert advice(photograph(radius=0.025)) == ["distance"]


def test_a_round_black_border_is_no_lack_of_light() -> None:
    image = photograph()
    disc = Image.new("L", image.size)
    ImageDraw.Draw(disc).ellipse((20, 20, 280, 280), fill=255)
    bordered = Image.composite(image, Image.new("RGB", image.size), disc)
    assert advice(bordered) == []
    plain, framed = measure_quality([prepare(image), prepare(bordered)])
    for name in ("brightness", "dark_share", "off_centre", "lesion_contrast"):
        assert framed[name] == pytest.approx(plain[name], abs=0.1), name


@pytest.mark.parametrize("level", [0, 127, 255])
def test_one_even_area_has_figures(level: int) -> None:
    (figures,) = measure_quality([torch.full((3, 150, 150), level, dtype=torch.uint8)])
    assert figures["brightness"] == pytest.approx(level / 255, abs=1e-3)
    assert figures["sharpness"] == 0
    assert all(math.isfinite(value) for value in figures.values())


def test_figures_do_not_depend_on_the_others_of_a_batch() -> None:
    disc = Image.new("L", (300, 300))
    ImageDraw.Draw(disc).ellipse((20, 20, 280, 280), fill=255)
    bordered = Image.composite(photograph(), Image.new("RGB", (300, 300)), disc)
    blurred = photograph().filter(ImageFilter.GaussianBlur(8))
    squares = [prepare(one) for one in (photograph(), bordered, blurred, photograph(radius=0))]
    together = measure_quality(squares)
    for square, figures in zip(squares, together, strict=True):
        (alone,) = measure_quality([square])
        assert alone == pytest.approx(figures, abs=1e-5)


def test_a_border_that_takes_nothing_away_changes_nothing() -> None:
    squares = [prepare(photograph()), prepare(photograph(at=(0.8, 0.7)))]

    def everything_inside(grey: torch.Tensor) -> dict[int, NDArray[np.bool_]]:
        return {index: np.ones(own.shape, bool) for index, own in enumerate(grey)}

    bordered = measure_quality(squares, everything_inside)
    for figures, own in zip(measure_quality(squares), bordered, strict=True):
        assert own == pytest.approx(figures, abs=1e-5)


def test_more_photographs_than_are_measured_together_keep_their_order() -> None:
    levels = range(0, 250, 12)
    squares = [torch.full((3, 60, 60), level, dtype=torch.uint8) for level in levels]
    for level, figures in zip(levels, measure_quality(squares), strict=True):
        assert figures["brightness"] == pytest.approx(level / 255, abs=1e-5)

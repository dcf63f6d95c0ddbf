"""Shifts have the strength that they say, and nothing in them is left to chance."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter
from tests.unit.worker.evaluation.conftest import labelled, plausible

from dermtriage.imaging.rendition import open_rendition
from dermtriage_cli.demo.samples import generate
from dermtriage_worker.ensemble.manifest import Thresholds
from dermtriage_worker.ensemble.prediction import Prediction
from dermtriage_worker.evaluation import shifts
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.shift_figures import measure_shifts, sample_lesions
from dermtriage_worker.evaluation.shifts import SHIFTS, UNALTERED, Shift


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    (sample,) = generate(1, seed=2)
    return open_rendition(sample.jpeg).resize((200, 150))


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("shift", SHIFTS, ids=lambda shift: shift.name)
@pytest.mark.parametrize("size", [(200, 150), (300, 450), (224, 224)])
def test_shifts_repeat_keep_the_size_and_change_something(
    shift: Shift, size: tuple[int, int], photograph: Image.Image
) -> None:
    image = photograph.resize(size)
    before = _pixels(image)
    once, again = shift(image, "a"), shift(image, "a")
    assert once.size == size
    assert once.mode == "RGB"
    assert (_pixels(once) == _pixels(again)).all()
    assert (_pixels(once) != before).any()
    assert (_pixels(image) == before).all()


def test_names_are_unique_and_all_strengths_are_there() -> None:
    names = [shift.name for shift in (UNALTERED, *SHIFTS)]
    assert len(set(names)) == len(names) == 15


def test_hair_differs_between_photographs(photograph: Image.Image) -> None:
    one, other = shifts.hair(photograph, 1), shifts.hair(photograph, 2)
    assert (_pixels(one) != _pixels(other)).any()
    darkened = (_pixels(one).sum(2) < _pixels(photograph).sum(2) - 30).mean()
    assert 0.05 < darkened < 0.5


def test_vignette_leaves_a_disc(photograph: Image.Image) -> None:
    before, after = _pixels(photograph), _pixels(shifts.vignette(photograph, 0.8))
    y, x = np.mgrid[:150, :200] + 0.5
    distance = np.hypot(x - 100, y - 75)
    assert (after[distance < 59] == before[distance < 59]).all()
    assert (after[distance > 61] == 0).all()


@pytest.mark.parametrize(("channel", "gain"), [(0, 0.8), (1, 1.2), (2, 0.8)])
def test_colour_cast_touches_one_channel(
    photograph: Image.Image, channel: int, gain: float
) -> None:
    before, after = _pixels(photograph), _pixels(shifts.colour_cast(photograph, channel, gain))
    expected = before.astype(float)
    expected[..., channel] = np.clip(before[..., channel] * gain, 0, 255)
    assert np.abs(after - expected).max() <= 0.5


def test_blur_has_its_sigma_at_the_reference_side() -> None:
    # A step that is blurred by a Gaussian rises from 16 to 84 % over two sigma.
    step = Image.new("RGB", (448, 448))
    step.paste("white", (224, 0, 448, 448))
    row = _pixels(shifts.blur(step, 2.0))[224, :, 0] / 255
    width = np.interp(0.8413, row, np.arange(448)) - np.interp(0.1587, row, np.arange(448))
    assert width / 2 == pytest.approx(4, rel=0.1)


def test_scaling_moves_a_mark_by_its_factor() -> None:
    dark = Image.new("RGB", (400, 300))
    dark.paste("white", (240, 140, 260, 160))
    for factor in (0.6, 1.6):
        y, x = np.nonzero(_pixels(shifts.scale(dark, factor))[..., 0] > 127)
        assert x.mean() + 0.5 - 200 == pytest.approx(50 * factor, abs=1)
        assert y.mean() + 0.5 - 150 == pytest.approx(0, abs=1)
        assert np.ptp(x) + 1 == pytest.approx(20 * factor, abs=2)


def test_smaller_lesions_stand_in_reflected_skin(photograph: Image.Image) -> None:
    assert _pixels(shifts.scale(photograph, 0.6)).sum(2).min() > 0


def test_rotation_by_a_quarter_is_exact_in_the_centred_square(photograph: Image.Image) -> None:
    square = photograph.crop((25, 0, 175, 150)).transpose(Image.Transpose.ROTATE_90)
    turned = shifts.rotate(photograph, 90).crop((25, 0, 175, 150))
    assert np.abs(_pixels(square) - _pixels(turned)).mean() < 1


def test_rotation_leaves_no_black_corner() -> None:
    bright = Image.new("RGB", (200, 150), (200, 160, 150))
    assert (_pixels(shifts.rotate(bright, 45)) == (200, 160, 150)).all()


def test_compression_costs_detail(photograph: Image.Image) -> None:
    sharp = photograph.filter(ImageFilter.SHARPEN)
    error = np.abs(_pixels(shifts.jpeg(sharp, 20)) - _pixels(sharp)).mean()
    assert error > np.abs(_pixels(shifts.jpeg(sharp, 95)) - _pixels(sharp)).mean() + 1


def test_a_sample_keeps_lesions_whole_and_every_class() -> None:
    labels = labelled(
        ["nv"] * 80 + ["mel"] * 20 + ["df"] * 2, lesion_id=[f"L{i // 2}" for i in range(102)]
    )
    chosen = sample_lesions(labels, 10, seed=0)
    lesions = {one.lesion_id for one in chosen}
    assert chosen == [one for one in labels if one.lesion_id in lesions]
    counts = {name: len({o.lesion_id for o in chosen if o.diagnosis == name}) for name in
              ("nv", "mel", "df")}  # fmt: skip
    assert counts == {"nv": 8, "mel": 2, "df": 1}
    assert sample_lesions(labels, 10, seed=0) == chosen
    assert sample_lesions(labels, 1000, seed=0) == labels


def test_what_a_shift_costs_is_measured_on_the_same_photographs() -> None:
    labels, said = plausible(240)
    scores = dict(zip((one.image_id for one in labels), said, strict=True))
    thresholds = Thresholds(lower=0.3, upper=0.6, disagreement=0.5)

    def score(photographs: Sequence[Labelled], shift: Shift) -> list[Prediction]:
        own = [scores[one.image_id] for one in photographs]
        if shift.name != "blur":
            return own
        return [replace(one, p_severe=1 - one.p_severe) for one in own]

    found = measure_shifts(score, labels, thresholds, sample=None, seed=0)
    assert (found.photographs, found.lesions, found.sampled) == (240, 160, False)
    rows = {row.name: row for row in found.shifts}
    assert list(rows) == ["none", *(shift.name for shift in SHIFTS)]
    assert rows["hair"].auc == rows["none"].auc
    assert (rows["hair"].auc_change.low, rows["hair"].auc_change.high) == (0, 0)
    assert rows["blur"].auc.value == pytest.approx(1 - rows["none"].auc.value)
    assert rows["blur"].auc_change.high < -0.5
    assert rows["blur"].severe_called_low.value > rows["none"].severe_called_low.value
    assert rows["none"].out_of_scope is None
    sampled = measure_shifts(score, labels, thresholds, sample=50, seed=0)
    assert sampled.sampled
    assert sampled.lesions == pytest.approx(50, abs=4)

"""Sample photographs: repeatable, acceptable, varied, and their kinds can be told apart."""

import io
from collections import Counter
from hashlib import sha256
from statistics import mean, median

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dermtriage.core.enums import ImageType
from dermtriage.imaging.rendition import make_rendition
from dermtriage.imaging.validation import inspect
from dermtriage.intake.referral import CaseMetadata
from dermtriage_cli.demo.samples import Kind, Sample, generate
from dermtriage_cli.demo.samples.referrals import ANATOM_SITES, diameter_mm, referral
from dermtriage_cli.demo.samples.skin import SKIN_TYPES

Mask = NDArray[np.bool_]


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(generate(52, seed=20))


def pixels(sample: Sample) -> NDArray[np.float64]:
    """The photograph in RGB at a quarter of its size, hairs filtered away."""
    with Image.open(io.BytesIO(sample.jpeg)) as image:
        smooth = image.reduce(4).filter(ImageFilter.MedianFilter(5))
    return np.asarray(smooth, np.float64)


def lesion(picture: NDArray[np.float64]) -> Mask:
    """Where the middle of the picture differs clearly from the skin around it."""
    height, width, _ = picture.shape
    y, x = np.mgrid[:height, :width]
    away = np.hypot(x - width / 2, y - height / 2)
    skin = np.median(picture[(away > 0.40 * height) & (away < 0.55 * height)], axis=0)
    difference = np.linalg.norm(picture - skin, axis=2)
    difference[away > 0.5 * height] = 0
    mask: Mask = difference > 0.35 * np.percentile(difference, 99)
    return mask


def asymmetry(mask: Mask) -> float:
    """The share of a shape that does not lie on itself after half a turn about its centroid."""
    y, x = np.nonzero(mask)
    turned = np.zeros_like(mask)
    ty, tx = np.rint(2 * y.mean() - y).astype(int), np.rint(2 * x.mean() - x).astype(int)
    fits = (ty >= 0) & (ty < mask.shape[0]) & (tx >= 0) & (tx < mask.shape[1])
    turned[ty[fits], tx[fits]] = True
    return float(1 - (mask & turned).sum() / (mask | turned).sum())


def colour_spread(picture: NDArray[np.float64], mask: Mask) -> float:
    return float(np.linalg.norm(picture[mask].std(axis=0)))


def test_same_seed_gives_the_same_bytes() -> None:
    assert list(generate(4, seed=5)) == list(generate(4, seed=5))


def test_other_seeds_give_other_samples() -> None:
    one, other = list(generate(4, seed=5)), list(generate(4, seed=6))
    assert not {sample.jpeg for sample in one} & {sample.jpeg for sample in other}
    assert [sample.metadata for sample in one] != [sample.metadata for sample in other]


def test_fewer_samples_are_the_first_of_more(samples: list[Sample]) -> None:
    assert list(generate(3, seed=20)) == samples[:3]


def test_none_asked_for() -> None:
    assert list(generate(0, seed=1)) == []


def test_names_photographs_and_pseudonyms_are_distinct(samples: list[Sample]) -> None:
    assert [sample.name for sample in samples[:2]] == ["sample-0001", "sample-0002"]
    for values in (
        [sample.name for sample in samples],
        [sample.jpeg for sample in samples],
        [sample.metadata["patient_id"] for sample in samples],
        [sample.metadata["lesion_id"] for sample in samples],
        [sample.metadata["clinic_reference"] for sample in samples],
    ):
        assert len(set(values)) == len(samples)


def test_photographs_are_acceptable(samples: list[Sample]) -> None:
    for sample in samples:
        facts = inspect(sample.jpeg)
        assert (facts.media_type, facts.width, facts.height) == ("image/jpeg", 600, 450)
        assert make_rendition(sample.jpeg)


def test_metadata_is_what_a_referral_takes(samples: list[Sample]) -> None:
    for sample in samples:
        fields = dict(sample.metadata)
        image = {
            "image_type": fields.pop("image_type"),
            "sha256": sha256(sample.jpeg).hexdigest(),
        }
        referred = CaseMetadata.model_validate({**fields, "images": [image]})
        assert referred.images[0].image_type is ImageType.DERMOSCOPIC


def test_each_skin_type_occurs_among_six(samples: list[Sample]) -> None:
    for start in range(0, 48, 6):
        dealt = {s.metadata["fitzpatrick_skin_type"] for s in samples[start : start + 6]}
        assert dealt == set(SKIN_TYPES)


def test_each_kind_occurs_and_moles_are_commonest(samples: list[Sample]) -> None:
    kinds = Counter(sample.kind for sample in samples)
    assert set(kinds) == set(Kind)
    assert kinds.most_common(1)[0][0] is Kind.MOLE


def test_skin_darkens_with_its_type(samples: list[Sample]) -> None:
    brightness = {
        skin_type: mean(
            float(np.median(pixels(sample)))
            for sample in samples
            if sample.metadata["fitzpatrick_skin_type"] == skin_type
        )
        for skin_type in SKIN_TYPES
    }
    assert brightness["I"] > brightness["III"] > brightness["V"] > brightness["VI"]
    assert brightness["I"] - brightness["VI"] > 50


def test_melanoma_like_is_less_symmetric_and_more_coloured_than_moles(
    samples: list[Sample],
) -> None:
    shapes: dict[Kind, list[float]] = {Kind.MOLE: [], Kind.MELANOMA_LIKE: []}
    colours: dict[Kind, list[float]] = {Kind.MOLE: [], Kind.MELANOMA_LIKE: []}
    for sample in samples:
        if sample.kind in shapes:
            picture = pixels(sample)
            mask = lesion(picture)
            shapes[sample.kind].append(asymmetry(mask))
            colours[sample.kind].append(colour_spread(picture, mask))
    assert median(shapes[Kind.MELANOMA_LIKE]) > 1.5 * median(shapes[Kind.MOLE])
    assert median(colours[Kind.MELANOMA_LIKE]) > 1.5 * median(colours[Kind.MOLE])


@pytest.mark.parametrize("kind", list(Kind))
def test_referrals_are_plausible(kind: Kind) -> None:
    rng = np.random.default_rng(3)
    priorities = Counter[str]()
    for number in range(200):
        diameter = diameter_mm(rng, kind)
        metadata = referral(rng, kind, "IV", diameter, number)
        assert metadata["age_approx"] % 5 == 0
        assert 0 < metadata["age_approx"] <= 85
        assert metadata["sex"] in {"male", "female"}
        assert metadata["anatom_site"] in ANATOM_SITES
        assert metadata["fitzpatrick_skin_type"] == "IV"
        assert metadata["clin_size_long_diam_mm"] == diameter
        assert 2 <= diameter <= 15
        assert isinstance(metadata["personal_hx_mm"], bool)
        assert isinstance(metadata["family_hx_mm"], bool)
        assert metadata["image_type"] == "dermoscopic"
        priorities[metadata["priority"]] += 1
    assert set(priorities) <= {"routine", "urgent", "asap", "stat"}
    assert priorities["routine"] > 140
    assert len(priorities) >= 3

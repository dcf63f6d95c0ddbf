"""Sample photographs of lesions that nobody has: drawn by rule, the same for the same seed.

They stand in for patients in demonstrations and tests. They are no training data, and their
kinds are likenesses, no diagnoses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermtriage_cli.demo.samples import artefacts, lesions, referrals, skin
from dermtriage_cli.demo.samples.canvas import HEIGHT
from dermtriage_cli.demo.samples.kind import Kind
from dermtriage_cli.demo.samples.place import place_lesion

__all__ = ["Kind", "Sample", "generate"]

_KINDS = (
    *[Kind.MOLE] * 5,
    *[Kind.MELANOMA_LIKE] * 2,
    Kind.BCC_LIKE,
    Kind.ACTINIC_LIKE,
    *[Kind.KERATOSIS_LIKE] * 2,
    Kind.DERMATOFIBROMA_LIKE,
    Kind.ANGIOMA_LIKE,
)
"""One deal of kinds. Dealing instead of rolling dice shows every kind even in a small set."""

_LARGEST_SHARE = 0.85
"""A lesion takes at most this share of the picture's height."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample photograph and the referral that goes with it.

    Attributes
    ----------
    name
        File name without its ending, such as ``sample-0007``.
    jpeg
        The photograph, 600 x 450 pixels.
    kind
        What it was drawn to look like.
    metadata
        Referral metadata with ISIC's field names, the requested priority and pseudonyms.
    """

    name: str
    jpeg: bytes
    kind: Kind
    metadata: dict[str, Any]


def generate(count: int, seed: int) -> Iterator[Sample]:
    """Draw samples one by one; a smaller count gives the first of a larger one.

    Parameters
    ----------
    count
        How many, 0 or more.
    seed
        The same seed gives the same samples, byte by byte on one machine.
    """
    for index in range(count):
        yield _sample(index, seed)


def _sample(index: int, seed: int) -> Sample:
    rng = np.random.default_rng((seed, index))
    kind = _KINDS[_dealt(index, len(_KINDS), seed, deck=1)]
    skin_type = skin.SKIN_TYPES[_dealt(index, len(skin.SKIN_TYPES), seed, deck=2)]
    diameter = referrals.diameter_mm(rng, kind)
    metadata = referrals.referral(rng, kind, skin_type, diameter, index + 1)
    jpeg = _photograph(rng, kind, skin_type, diameter)
    return Sample(f"sample-{index + 1:04d}", jpeg, kind, metadata)


def _dealt(index: int, cards: int, seed: int, *, deck: int) -> int:
    """Return the card at this index from decks of that many, each shuffled anew."""
    deal, position = divmod(index, cards)
    return int(np.random.default_rng((seed, deal, deck)).permutation(cards)[position])


def _photograph(rng: np.random.Generator, kind: Kind, skin_type: str, diameter_mm: float) -> bytes:
    pixels_per_mm = min(rng.uniform(24, 40), _LARGEST_SHARE * HEIGHT / diameter_mm)
    pigments = skin.texture(rng, skin_type)
    lesions.draw(rng, kind, place_lesion(rng, diameter_mm * pixels_per_mm), pigments)
    picture = skin.colour(skin.tone(rng, skin_type), pigments)
    if rng.random() < 0.55:
        artefacts.hair(rng, picture, int(rng.gamma(1.5, 5)) + 1)
    if rng.random() < 0.2:
        artefacts.ruler(rng, picture, pixels_per_mm)
    if rng.random() < 0.3:
        artefacts.bubbles(rng, picture, int(rng.integers(3, 22)))
    artefacts.lens(rng, picture, tube=rng.random() < 0.2)
    return artefacts.camera(rng, picture)

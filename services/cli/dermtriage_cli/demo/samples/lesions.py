"""Draws a lesion of a kind into skin."""

from collections.abc import Callable, Mapping

import numpy as np

from dermtriage_cli.demo.samples import benign_lesions, severe_lesions
from dermtriage_cli.demo.samples.kind import Kind
from dermtriage_cli.demo.samples.place import Place
from dermtriage_cli.demo.samples.skin import Pigments


def draw(rng: np.random.Generator, kind: Kind, where: Place, skin: Pigments) -> None:
    """Add a lesion to the pigments of the skin."""
    _DRAWN[kind](rng, where, skin)


_DRAWN: Mapping[Kind, Callable[[np.random.Generator, Place, Pigments], None]] = {
    Kind.MOLE: benign_lesions.mole,
    Kind.MELANOMA_LIKE: severe_lesions.melanoma_like,
    Kind.BCC_LIKE: severe_lesions.bcc_like,
    Kind.ACTINIC_LIKE: severe_lesions.actinic_like,
    Kind.KERATOSIS_LIKE: benign_lesions.keratosis_like,
    Kind.DERMATOFIBROMA_LIKE: benign_lesions.dermatofibroma_like,
    Kind.ANGIOMA_LIKE: benign_lesions.angioma_like,
}

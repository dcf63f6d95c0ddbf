"""From a photograph to the square that networks take: for uploads, rescore runs and offline use."""

from dataclasses import dataclass

from torch import Tensor

from dermtriage.imaging.rendition import make_rendition
from dermtriage_worker.ensemble.inference import Ensemble


@dataclass(frozen=True, slots=True)
class Photograph:
    """A decoded photograph, ready for `Ensemble.predict`."""

    rendition: bytes
    """JPEG, upright, free of metadata: what is stored, shown and scored."""
    square: Tensor
    """uint8, shape (3, s, s), as `Ensemble.prepare` makes it."""


def decode_original(original: bytes, ensemble: Ensemble) -> Photograph:
    """Make the rendition of a photograph and decode that for an ensemble.

    The rendition's own bytes are scored, so that scoring the stored rendition again gives the
    same figures.

    Raises
    ------
    ImageRejected
        If the bytes are not a photograph.
    """
    return decode_rendition(make_rendition(original), ensemble)


def decode_rendition(rendition: bytes, ensemble: Ensemble) -> Photograph:
    """Decode a stored rendition and prepare it for an ensemble.

    Raises
    ------
    ImageRejected
        If the bytes cannot be decoded.
    """
    return Photograph(rendition, ensemble.prepare(ensemble.decode(rendition)))

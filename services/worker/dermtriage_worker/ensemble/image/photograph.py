"""One photograph on its way to the device: the same steps online, at night and offline."""

from dataclasses import dataclass

from torch import Tensor

from dermtriage.imaging.rendition import make_rendition
from dermtriage_worker.ensemble.inference import Ensemble


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph that is ready for `Ensemble.predict`."""

    rendition: bytes
    """JPEG, upright, free of metadata: what is stored, shown and scored."""
    prepared: Tensor


def prepare_photograph(original: bytes, ensemble: Ensemble) -> Photograph:
    """Make the rendition of a photograph and prepare it for an ensemble.

    It is the rendition's bytes that are decoded and scored, so that scoring the stored
    rendition again gives the same figures.

    Raises
    ------
    ImageRejected
        If the bytes are no photograph.
    """
    return open_photograph(make_rendition(original), ensemble)


def open_photograph(rendition: bytes, ensemble: Ensemble) -> Photograph:
    """Prepare a stored rendition for an ensemble.

    Raises
    ------
    ImageRejected
        If the bytes cannot be decoded.
    """
    return Photograph(rendition, ensemble.prepare(ensemble.open(rendition)))

"""The heat map of a photograph. It loads a plotting library, which scoring does not need."""

from pathlib import Path

from dermtriage_worker.ensemble.attribution import heat_maps
from dermtriage_worker.ensemble.image.photograph import decode_original
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.scoring.overlay import overlay


def heat_map(path: Path, ensemble: Ensemble) -> bytes:
    """Return a photograph with the regions that raised its severe score laid over it, as a JPEG.

    Raises
    ------
    ImageRejected
        If the file is not a photograph.
    """
    photograph = decode_original(path.read_bytes(), ensemble)
    (heat,) = heat_maps(ensemble, photograph.square[None])
    return overlay(photograph.rendition, heat)

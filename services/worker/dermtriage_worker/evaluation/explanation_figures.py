"""The results of measuring heat maps against segmentation masks. They are written as JSON."""

from pydantic import BaseModel, ConfigDict


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class MapFigures(_Result):
    """How well one kind of map finds the lesion, over a sample of photographs.

    Attributes
    ----------
    peaks_inside
        Share of the photographs whose hottest pixel lies inside the mask.
    energy_inside
        Mean share of the map's energy inside the mask.
    """

    peaks_inside: float
    energy_inside: float


class SampleFigures(_Result):
    """Figures over one sample.

    Attributes
    ----------
    photographs
        Size of the sample.
    heat_map, untrained, contrast
        Of the release, of the same networks with random weights, and of the distance from the
        colour of the skin.
    disc_inside
        Mean share of a centred disc inside the mask, where both have the same area.
    """

    photographs: int
    heat_map: MapFigures
    untrained: MapFigures
    contrast: MapFigures
    disc_inside: float


class ExplanationFigures(_Result):
    """Figures of a release's heat maps.

    Attributes
    ----------
    release
        Its name.
    out_of_fold
        Number of photographs of both samples that the release was trained on; they are explained
        out of fold.
    off_centre, any
        On photographs whose mask misses the centre, and on photographs of any kind.
    """

    release: str
    out_of_fold: int
    off_centre: SampleFigures
    any: SampleFigures

"""Whether heat maps look at lesions: measured on segmentation masks that no network ever saw.

The middle of a photograph lies inside nearly every lesion, so a map that knew nothing but the
middle would seem right. Peaks are therefore counted on those photographs alone whose mask misses
it. And since the maps start out from plain skin, whatever differs from the skin's colour has a
better chance to be hot. So the same is measured of two maps that know nothing of lesions: of that
difference alone (`contrast`), and of the same networks before any training (`untrained`, after
Adebayo and others 2018). What training has taught the networks is what lies between.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from dermtriage.core.enums import CLASSES
from dermtriage.core.errors import DermtriageError
from dermtriage_worker.ensemble.attribution import heat_maps, skin_baseline
from dermtriage_worker.ensemble.device import choose_compute
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.networks.registry import create_network
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.prepared import prepare_labelled
from dermtriage_worker.evaluation.scoring import FoldLookup

Explain = Callable[[Ensemble, Tensor], Tensor]
"""From an ensemble and squares to heat maps; see `ensemble.attribution.heat_maps`."""

MASK_FOLDER = "masks_200x150"
_BATCH = 8
_FEWEST_PIXELS = 30
"""A smaller mask is a slip of the pen."""


class MasksMissing(DermtriageError):
    """There are no masks that explanations can be measured on."""

    code = "masks_missing"


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class MapFigures(_Result):
    """What one kind of map does, over some photographs.

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
    """Figures over one sample; `disc_inside` is the energy of a centred disc of equal area."""

    photographs: int
    heat_map: MapFigures
    untrained: MapFigures
    contrast: MapFigures
    disc_inside: float


class ExplanationFigures(_Result):
    """What was measured, on photographs whose mask misses the centre and on any."""

    release: str
    out_of_fold: int
    off_centre: SampleFigures
    any: SampleFigures


@dataclass(frozen=True, slots=True)
class _Masked:
    record: Labelled
    mask: Tensor


def measure_explanations(
    ensemble: Ensemble,
    records: Sequence[Labelled],
    data: Path,
    *,
    training_folds: FoldLookup,
    sample: int,
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda _: None,
    explain: Explain = heat_maps,
) -> ExplanationFigures:
    """Measure heat maps against the masks of a data set.

    A photograph that the release has learnt from is explained by those members alone that never
    saw its lesion.

    Parameters
    ----------
    ensemble
        A loaded release.
    records
        Photographs of the data set.
    data
        Its folder, with `MASK_FOLDER`.
    training_folds
        What the release learnt from.
    sample
        Photographs whose mask misses the centre, and as many of any kind; fewer if there are.
    seed
        Of the samples.
    on_progress
        Called with the number of photographs that were explained since the last call.
    explain
        Makes the maps that are measured.

    Raises
    ------
    MasksMissing
        If there are no masks, or all of them cover the centre.
    """
    off_centre, chosen = _draw(records, data, ensemble, sample, seed)
    return ExplanationFigures(
        release=ensemble.manifest.name,
        out_of_fold=sum(
            training_folds.fold_of(one.record.image_id) is not None
            for one in (*off_centre, *chosen)
        ),
        off_centre=_measure(ensemble, off_centre, training_folds, explain, on_progress),
        any=_measure(ensemble, chosen, training_folds, explain, on_progress),
    )


def _draw(
    records: Sequence[Labelled], data: Path, ensemble: Ensemble, sample: int, seed: int
) -> tuple[list[_Masked], list[_Masked]]:
    """Draw photographs whose mask misses the centre, and photographs of any kind."""
    off_centre: list[_Masked] = []
    chosen: list[_Masked] = []
    for index in np.random.default_rng(seed).permutation(len(records)):
        one = _read(records[index], data, ensemble)
        if one is None:
            continue
        if len(chosen) < sample:
            chosen.append(one)
        if not _covers_centre(one.mask):
            off_centre.append(one)
        if len(off_centre) == sample:
            break
    if not off_centre:
        raise MasksMissing(
            f"There are no masks in {data / MASK_FOLDER} that miss the centre.",
            remedy="Put HAM10000's segmentation masks there, as <image id>_segmentation.png.",
        )
    return off_centre, chosen


def _read(record: Labelled, data: Path, ensemble: Ensemble) -> _Masked | None:
    path = data / MASK_FOLDER / f"{record.image_id}_segmentation.png"
    if not path.is_file():
        return None
    with Image.open(path) as image:
        mask = ensemble.prepare(image)[0] > 127
    return _Masked(record, mask) if mask.sum() >= _FEWEST_PIXELS else None


def _covers_centre(mask: Tensor) -> bool:
    middle = len(mask) // 2
    return bool(mask[middle - 1 : middle + 1, middle - 1 : middle + 1].any())


def _measure(
    ensemble: Ensemble,
    masked: Sequence[_Masked],
    training_folds: FoldLookup,
    explain: Explain,
    on_progress: Callable[[int], None],
) -> SampleFigures:
    heat: list[Tensor] = []
    untrained: list[Tensor] = []
    contrast: list[Tensor] = []
    discs: list[float] = []
    for explaining, part in _by_fold(ensemble, masked, training_folds):
        squares = prepare_labelled([one.record for one in part])
        masks = torch.stack([one.mask for one in part])
        heat.append(_figures(explain(explaining, squares), masks))
        untrained.append(_figures(explain(_untrained(explaining), squares), masks))
        contrast.append(_figures((squares - skin_baseline(squares)).abs().sum(1), masks))
        discs += [float(mask[_disc(int(mask.sum()), len(mask))].float().mean()) for mask in masks]
        on_progress(len(part))
    return SampleFigures(
        photographs=len(masked),
        heat_map=_mean(heat),
        untrained=_mean(untrained),
        contrast=_mean(contrast),
        disc_inside=float(np.mean(discs)),
    )


def _by_fold(
    ensemble: Ensemble, masked: Sequence[_Masked], training_folds: FoldLookup
) -> Iterator[tuple[Ensemble, list[_Masked]]]:
    """Yield batches with the members that may explain them."""
    folds = [training_folds.fold_of(one.record.image_id) for one in masked]
    for fold in sorted(set(folds), key=lambda fold: -1 if fold is None else fold):
        explaining = ensemble if fold is None else ensemble.out_of_fold(fold)
        own = [one for one, other in zip(masked, folds, strict=True) if other == fold]
        for start in range(0, len(own), _BATCH):
            yield explaining, own[start : start + _BATCH]


def _untrained(ensemble: Ensemble) -> Ensemble:
    """Return the ensemble as it was before any training."""
    compute = choose_compute(str(ensemble.device))
    networks = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for member in ensemble.manifest.members:
            state = create_network(member.architecture, len(CLASSES)).state_dict()
            networks.append(ScoringNetwork(member, state, compute))
    return Ensemble(ensemble.manifest, networks, compute)


def _figures(maps: Tensor, masks: Tensor) -> Tensor:
    """Whether the peak is inside, and the share of the energy inside: shape (n, 2)."""
    flat, inside = maps.flatten(1), masks.flatten(1)
    peak = inside.gather(1, flat.argmax(1, keepdim=True))[:, 0].float()
    energy = (flat * inside).sum(1) / flat.sum(1).clamp_min(1e-12)
    return torch.stack([peak, energy], dim=1)


def _mean(figures: Sequence[Tensor]) -> MapFigures:
    peaks, energy = torch.cat(list(figures)).mean(0).tolist()
    return MapFigures(peaks_inside=peaks, energy_inside=energy)


def _disc(area: int, side: int) -> Tensor:
    """Return the pixels nearest to the centre, as many as `area`: bool, shape (side, side)."""
    axis = torch.arange(side) - (side - 1) / 2
    nearest = torch.hypot(axis[:, None], axis[None, :]).flatten().argsort(stable=True)
    disc = torch.zeros(side * side, dtype=torch.bool)
    disc[nearest[:area]] = True
    return disc.view(side, side)

"""Measure heat maps (attribution maps) against segmentation masks, which training does not use.

The centre of a photograph lies inside nearly every lesion, so a map that always pointed there would
seem right. One of the two samples therefore holds only photographs whose mask misses the centre.
The baseline of the attribution is plain skin, so pixels that differ from the skin's colour have a
higher attribution in any case. Two maps that know nothing of lesions are measured for comparison:
that difference alone (`contrast`), and the heat map of the same networks with random weights
(`untrained`, after Adebayo and others 2018). What a heat map gains over them is due to training.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.attribution import heat_maps, skin_baseline
from dermtriage_worker.ensemble.device import choose_compute
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.networks.registry import create_network
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork
from dermtriage_worker.evaluation.explanation_figures import (
    ExplanationFigures,
    MapFigures,
    SampleFigures,
)
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.masked_photographs import MaskedPhotograph, draw_masked
from dermtriage_worker.evaluation.prepared import prepare_labelled
from dermtriage_worker.evaluation.scoring import FoldLookup

Explain = Callable[[Ensemble, Tensor], Tensor]
"""From an ensemble and squares to heat maps; see `ensemble.attribution.heat_maps`."""

_BATCH = 8


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

    A photograph that the release was trained on is explained out of fold: only by the members that
    were not trained on its lesion.

    Parameters
    ----------
    ensemble
        A loaded release.
    records
        Photographs of the data set.
    data
        Its folder, with `MASK_FOLDER`.
    training_folds
        The training set of the release.
    sample
        Number of photographs whose mask misses the centre, and of photographs of any kind; see
        `draw_masked`.
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
    off_centre, of_any_kind = draw_masked(records, data, ensemble, sample=sample, seed=seed)
    return ExplanationFigures(
        release=ensemble.manifest.name,
        out_of_fold=sum(
            training_folds.fold_of(one.record.image_id) is not None
            for one in (*off_centre, *of_any_kind)
        ),
        off_centre=_measure(ensemble, off_centre, training_folds, explain, on_progress),
        any=_measure(ensemble, of_any_kind, training_folds, explain, on_progress),
    )


def _measure(
    ensemble: Ensemble,
    masked: Sequence[MaskedPhotograph],
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
    ensemble: Ensemble, masked: Sequence[MaskedPhotograph], training_folds: FoldLookup
) -> Iterator[tuple[Ensemble, list[MaskedPhotograph]]]:
    """Yield batches, each with an ensemble that was not trained on it."""
    folds = [training_folds.fold_of(one.record.image_id) for one in masked]
    for fold in sorted(set(folds), key=lambda fold: -1 if fold is None else fold):
        explaining = ensemble if fold is None else ensemble.out_of_fold(fold)
        own = [one for one, other in zip(masked, folds, strict=True) if other == fold]
        for start in range(0, len(own), _BATCH):
            yield explaining, own[start : start + _BATCH]


def _untrained(ensemble: Ensemble) -> Ensemble:
    """Return the same ensemble with random weights."""
    compute = choose_compute(str(ensemble.device))
    networks = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for member in ensemble.manifest.members:
            state = create_network(member.architecture, len(CLASSES)).state_dict()
            networks.append(ScoringNetwork(member, state, compute))
    return Ensemble(ensemble.manifest, networks, compute)


def _figures(maps: Tensor, masks: Tensor) -> Tensor:
    """Return whether the peak is inside, and the share of the energy inside: shape (n, 2)."""
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

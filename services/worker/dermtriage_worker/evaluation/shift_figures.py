"""Measure a release under distribution shifts: the same photographs under each alteration."""

from collections.abc import Callable, Sequence

import numpy as np

from dermtriage_worker.ensemble.manifest import Thresholds
from dermtriage_worker.ensemble.prediction import Prediction
from dermtriage_worker.evaluation.bootstrap import Bootstrap, Statistic
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.results import ShiftFigures, Shifts
from dermtriage_worker.evaluation.shifts import SHIFTS, UNALTERED, Shift
from dermtriage_worker.evaluation.triaged import triage_labelled
from dermtriage_worker.evaluation.weighted_statistics import auc, share

Score = Callable[[Sequence[Labelled], Shift], list[Prediction]]


def measure_shifts(
    score: Score,
    labelled: Sequence[Labelled],
    thresholds: Thresholds,
    *,
    sample: int | None,
    seed: int,
) -> Shifts:
    """Score photographs under every shift, and measure the change of the figures.

    Parameters
    ----------
    score
        Scores photographs under one shift, in their order.
    sample
        Number of lesions to measure on; None for all. See `sample_lesions`.
    seed
        Of the sample and of the bootstrap, whose samples are the same for all shifts.
    """
    chosen = list(labelled) if sample is None else sample_lesions(labelled, sample, seed=seed)
    bootstrap = Bootstrap([one.lesion_id for one in chosen], seed=seed)
    everything = np.ones(len(chosen), bool)
    rows = []
    unaltered: Statistic | None = None
    for shift in (UNALTERED, *SHIFTS):
        triaged = triage_labelled(score(chosen, shift), chosen, thresholds)
        area = auc(triaged.p_severe, triaged.positive)
        unaltered = unaltered or area
        flags = triaged.out_of_scope
        rows.append(
            ShiftFigures(
                name=shift.name,
                description=shift.description,
                auc=bootstrap.estimate(area),
                auc_change=bootstrap.estimate(_difference(area, unaltered)),
                out_of_scope=None
                if flags is None
                else bootstrap.estimate(share(flags, everything)),
                severe_called_low=bootstrap.estimate(share(triaged.low, triaged.positive)),
                benign_called_low=bootstrap.estimate(share(triaged.low, ~triaged.positive)),
            )
        )
    return Shifts(
        photographs=len(chosen),
        lesions=len({one.lesion_id for one in chosen}),
        sampled=len(chosen) < len(labelled),
        shifts=rows,
    )


def sample_lesions(labelled: Sequence[Labelled], lesions: int, *, seed: int) -> list[Labelled]:
    """Draw lesions with all their photographs, stratified by class.

    A class that would get less than one lesion gets one. The order of the photographs stays.
    """
    diagnosis = {one.lesion_id: one.diagnosis for one in labelled}
    if lesions >= len(diagnosis):
        return list(labelled)
    generator = np.random.default_rng(seed)
    chosen: set[str] = set()
    for name in sorted(set(diagnosis.values())):
        of_class = sorted(lesion for lesion, other in diagnosis.items() if other == name)
        wanted = max(1, round(lesions * len(of_class) / len(diagnosis)))
        chosen.update(generator.choice(of_class, wanted, replace=False).tolist())
    return [one for one in labelled if one.lesion_id in chosen]


def _difference(one: Statistic, other: Statistic) -> Statistic:
    return Statistic(lambda weights: one.compute(weights) - other.compute(weights), one.photographs)

"""Measure the figures in a new release's manifest, out of fold."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest import Figure, Manifest
from dermtriage_worker.ensemble.metadata import YOUNG
from dermtriage_worker.evaluation.bootstrap import Bootstrap
from dermtriage_worker.evaluation.by_lesion import lesion_figures
from dermtriage_worker.evaluation.figures import severe_mask
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.measure import SEED, measure
from dermtriage_worker.evaluation.results import Estimate
from dermtriage_worker.evaluation.weighted_statistics import auc, calibration_error, share
from dermtriage_worker.training.crossfit import CrossFitted
from dermtriage_worker.training.training_folds import TrainingFolds


def shipped_figures(
    folder: Path,
    manifest: Manifest,
    records: Sequence[Labelled],
    on_progress: Callable[[str, int, int], None],
) -> dict[str, Figure]:
    """Measure the release's own weights in half precision, with the code that serves them.

    Parameters
    ----------
    folder
        The release, complete but for its figures.
    on_progress
        Called with the name of the step, the number of photographs scored, and of all.
    """
    done = 0

    def show(_: str, scored: int, whole: int) -> None:
        nonlocal done
        done += scored
        on_progress("Measuring the release", done, whole)

    measured = measure(
        Ensemble.load(folder),
        records,
        training_folds=TrainingFolds.of(folder, manifest),
        out_of_fold=True,
        with_shifts=False,
        sample=None,
        on_progress=show,
    ).evaluation
    kinds = {f"auc_{kind}": estimate for kind, estimate in measured.kinds.items()}
    return _figures(measured.figures | kinds)


def crossfitted_figures(scored: CrossFitted, records: Sequence[Labelled]) -> dict[str, Figure]:
    """Measure calibration and thresholds on lesions that they were not fitted on.

    Parameters
    ----------
    scored
        All photographs with their metadata, then all of them without.

    Returns
    -------
    dict
        Figures named `..._crossfitted` and `..._photograph_alone`.
    """
    count = len(records)
    return _crossfitted(scored.rows(slice(count)), records, "crossfitted") | _crossfitted(
        scored.rows(slice(count, None)), records, "photograph_alone"
    )


def _crossfitted(
    scored: CrossFitted, records: Sequence[Labelled], suffix: str
) -> dict[str, Figure]:
    positive = severe_mask()[[CLASSES.index(record.diagnosis) for record in records]]
    p_severe, lower, upper = (
        values.numpy() for values in (scored.p_severe, scored.lower, scored.upper)
    )
    young = np.array([_is_young(record) for record in records])
    low = (p_severe < lower) & ~scored.raised.numpy()
    lesions = [record.lesion_id for record in records]
    bootstrap = Bootstrap(lesions, seed=SEED)
    statistics = {
        "auc": auc(p_severe, positive),
        "calibration_error": calibration_error(p_severe, positive),
        "sensitivity_lower": share(p_severe >= lower, positive),
        "sensitivity_upper": share(p_severe >= upper, positive),
        "specificity_upper": share(p_severe < upper, ~positive),
        "severe_called_low": share(low, positive),
        "benign_called_low": share(low, ~positive),
        "young_severe_called_low": share(low, positive & young),
    }
    found = {name: bootstrap.estimate(each) for name, each in statistics.items()}
    found |= lesion_figures(
        lesions,
        p_severe=p_severe,
        positive=positive,
        flagged=p_severe >= upper,
        low=low,
        seed=SEED,
    )
    return _figures({f"{name}_{suffix}": estimate for name, estimate in found.items()})


def _is_young(record: Labelled) -> bool:
    age = record.inputs.get("age_approx")
    return isinstance(age, int) and age < YOUNG


def _figures(estimates: Mapping[str, Estimate]) -> dict[str, Figure]:
    return {
        name: Figure(
            value=round(found.value, 4), low=round(found.low, 4), high=round(found.high, 4)
        )
        for name, found in estimates.items()
        if not math.isnan(found.value)
    }

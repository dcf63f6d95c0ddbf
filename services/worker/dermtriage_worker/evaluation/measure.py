"""Score a labelled set with a release, and compute its figures."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dermtriage.core.enums import CLASSES
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest import Manifest
from dermtriage_worker.ensemble.prediction import Prediction
from dermtriage_worker.evaluation.evaluate import evaluate
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.repeated_holdout import measure_repeated_holdout
from dermtriage_worker.evaluation.results import Evaluation, RepeatedHoldout, Shifts
from dermtriage_worker.evaluation.scoring import FoldLookup, score_labelled
from dermtriage_worker.evaluation.shift_figures import measure_shifts
from dermtriage_worker.evaluation.shifts import UNALTERED, Shift

SEED = 20261123
"""Of the bootstrap and of samples, so that an evaluation can be repeated to the digit."""


@dataclass(frozen=True)
class Measurement:
    """A release's predictions on a labelled set, and their figures.

    Attributes
    ----------
    manifest
        Of the release.
    labelled, predictions
        Of the same photographs in the same order.
    out_of_fold
        Whether each was scored only by members that were not trained on its lesion.
    repeated_holdout, shifts
        None if they were not measured.
    """

    manifest: Manifest
    labelled: Sequence[Labelled]
    predictions: Sequence[Prediction]
    out_of_fold: bool
    evaluation: Evaluation
    repeated_holdout: RepeatedHoldout | None
    shifts: Shifts | None


def measure(
    ensemble: Ensemble,
    labelled: Sequence[Labelled],
    *,
    training_folds: FoldLookup,
    out_of_fold: bool,
    with_shifts: bool,
    sample: int | None,
    on_progress: Callable[[str, int, int], None],
) -> Measurement:
    """Score a labelled set with a release, and measure it at the release's own thresholds.

    Parameters
    ----------
    labelled
        See `read_labelled`.
    training_folds, out_of_fold
        See `score_labelled`.
    with_shifts
        Whether the photographs are also scored under every shift.
    sample
        Number of lesions that the shifts are measured on; None for all.
    on_progress
        Called with a step's name, the number of photographs scored in it since the last call, and
        of all.

    Raises
    ------
    EvaluationRefused, LabelsInvalid
        See `score_labelled`.
    """
    thresholds = ensemble.manifest.thresholds

    def score(photographs: Sequence[Labelled], shift: Shift) -> list[Prediction]:
        return score_labelled(
            ensemble,
            photographs,
            training_folds=training_folds,
            out_of_fold=out_of_fold,
            alteration=shift,
            on_progress=lambda done: on_progress(shift.description, done, len(photographs)),
        )

    predictions = score(labelled, UNALTERED)
    unaltered = {
        one.image_id: prediction for one, prediction in zip(labelled, predictions, strict=True)
    }

    def score_shifted(photographs: Sequence[Labelled], shift: Shift) -> list[Prediction]:
        if shift is UNALTERED:
            return [unaltered[one.image_id] for one in photographs]
        return score(photographs, shift)

    return Measurement(
        manifest=ensemble.manifest,
        labelled=labelled,
        predictions=predictions,
        out_of_fold=out_of_fold,
        evaluation=evaluate(
            predictions,
            labelled,
            thresholds,
            kinds={member.name: member.kind for member in ensemble.manifest.members},
            log_prior=_log_prior(ensemble.manifest.training.classes),
            seed=SEED,
        ),
        repeated_holdout=measure_repeated_holdout(predictions, labelled) if out_of_fold else None,
        shifts=measure_shifts(score_shifted, labelled, thresholds, sample=sample, seed=SEED)
        if with_shifts
        else None,
    )


def _log_prior(classes: Mapping[str, int]) -> list[float] | None:
    """Return the logarithm of each class's share of the training set, in the order of `CLASSES`.

    A class without any counts as if it had one; None for a release that was not trained.
    """
    if not classes:
        return None
    counts = [max(1, classes.get(name, 0)) for name in CLASSES]
    return [math.log(count / sum(counts)) for count in counts]

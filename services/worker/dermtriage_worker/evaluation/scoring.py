"""Score a labelled set with the same steps as the worker scores an upload."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from PIL import Image
from torch import Tensor

from dermtriage.core.errors import DermtriageError, ImageRejected
from dermtriage.imaging.rendition import make_rendition
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.prediction import Prediction
from dermtriage_worker.evaluation.label_tables import LabelsInvalid
from dermtriage_worker.evaluation.labelled import Labelled

BATCH = 32
_AHEAD = 2
"""Batches that are decoded while one is on the device."""

Alteration = Callable[[Image.Image, str], Image.Image]
"""Alters an upright photograph before it is scored; may depend on the image id."""


class FoldLookup(Protocol):
    """The training set of a release."""

    def fold_of(self, image_id: str) -> int | None:
        """Return the fold of a photograph, or None if it is not of the training set."""


class EvaluationRefused(DermtriageError):
    """The figures would be misleading: training data would be measured, or nothing out of fold."""

    code = "evaluation_refused"


def score_labelled(
    ensemble: Ensemble,
    labelled: Sequence[Labelled],
    *,
    training_folds: FoldLookup,
    out_of_fold: bool,
    on_progress: Callable[[int], None],
    alteration: Alteration | None = None,
) -> list[Prediction]:
    """Score photographs, in their order.

    Parameters
    ----------
    training_folds
        The training set of the release.
    out_of_fold
        The photographs are of the training set, and each is scored only by the members that were
        not trained on its lesion. Otherwise none may be of the training set.
    on_progress
        Called with the number of photographs that were scored since the last call.
    alteration
        Is applied to each photograph before it is prepared.

    Raises
    ------
    EvaluationRefused
        If a photograph is of the training set, or with `out_of_fold` one is not.
    LabelsInvalid
        If a file cannot be decoded as a photograph.
    """
    folds = _folds(ensemble, labelled, training_folds, out_of_fold=out_of_fold)
    predictions: dict[int, Prediction] = {}
    for fold in sorted(set(folds), key=lambda fold: -1 if fold is None else fold):
        chosen = [index for index, other in enumerate(folds) if other == fold]
        scoring = ensemble if fold is None else ensemble.out_of_fold(fold)
        scored = _score(scoring, [labelled[index] for index in chosen], alteration, on_progress)
        predictions |= zip(chosen, scored, strict=True)
    return [predictions[index] for index in range(len(labelled))]


def _folds(
    ensemble: Ensemble,
    labelled: Sequence[Labelled],
    training_folds: FoldLookup,
    *,
    out_of_fold: bool,
) -> list[int | None]:
    folds = [training_folds.fold_of(one.image_id) for one in labelled]
    name = ensemble.manifest.name
    outside = [one for one, fold in zip(labelled, folds, strict=True) if fold is None]
    if out_of_fold and outside:
        raise EvaluationRefused(
            f"{_some(outside, labelled)} not of the training set of release {name}.",
            remedy="Measure them without --out-of-fold.",
        )
    if not out_of_fold and len(outside) < len(labelled):
        inside = [one for one, fold in zip(labelled, folds, strict=True) if fold is not None]
        raise EvaluationRefused(
            f"{_some(inside, labelled)} of the training set of release {name}: figures on"
            " training data are too high.",
            remedy="Leave them out, or measure the training set alone with --out-of-fold.",
        )
    return folds


def _some(chosen: Sequence[Labelled], of: Sequence[Labelled]) -> str:
    names = ", ".join(one.image_id for one in chosen[:3]) + (", …" if len(chosen) > 3 else "")
    verb = "is" if len(chosen) == 1 else "are"
    return f"{len(chosen)} of {len(of)} photographs ({names}) {verb}"


def _score(
    ensemble: Ensemble,
    labelled: Sequence[Labelled],
    alteration: Alteration | None,
    on_progress: Callable[[int], None],
) -> Iterator[Prediction]:
    batches = [labelled[start : start + BATCH] for start in range(0, len(labelled), BATCH)]
    waiting: deque[list[Future[Tensor]]] = deque()
    upcoming = iter(batches)
    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decoder") as decoders:
        try:
            for batch in batches:
                while len(waiting) <= _AHEAD and (ahead := next(upcoming, None)):
                    waiting.append(
                        [decoders.submit(_prepare, one, ensemble, alteration) for one in ahead]
                    )
                squares = [decoded.result() for decoded in waiting.popleft()]
                yield from ensemble.predict(squares, [one.inputs for one in batch])
                on_progress(len(batch))
        finally:
            decoders.shutdown(wait=False, cancel_futures=True)


def _prepare(one: Labelled, ensemble: Ensemble, alteration: Alteration | None) -> Tensor:
    try:
        # The worker scores renditions, so renditions are altered and measured.
        rendition = make_rendition(one.path.read_bytes())
        photograph = ensemble.decode(rendition)
    except ImageRejected as error:
        raise LabelsInvalid(f"{one.path}: {error}") from error
    except OSError as error:
        raise LabelsInvalid(f"{one.path} cannot be read: {error.strerror}.") from error
    if alteration is not None:
        photograph = alteration(photograph, one.image_id)
    return ensemble.prepare(photograph)

"""Score photographs on this machine with the worker's own code, so that the figures agree."""

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from torch import Tensor

from dermtriage.core.enums import CLASSES, Severity
from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.rendition import rendition_size
from dermtriage.imaging.retake_advice import QualityReason, quality_reasons
from dermtriage.triage.explanation import explain
from dermtriage.triage.image_severity import Finding, triage_image
from dermtriage.triage.policy import Policy
from dermtriage_cli.clinic_files.photographs import distinct_names, name_of
from dermtriage_worker.ensemble.device import DeviceOutOfMemory
from dermtriage_worker.ensemble.image.photograph import Photograph, decode_original
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.metadata import Inputs
from dermtriage_worker.ensemble.prediction import Prediction

COLUMNS = (
    "image",
    "severity",
    "p_severe",
    *(f"p_{name}" for name in CLASSES),
    "disagreement",
    "reasons",
    "quality",
    "explanation",
)


@dataclass(frozen=True, slots=True)
class Scored:
    """The result for one photograph; without a prediction it could not be scored."""

    image: str
    severity: Severity
    reasons: tuple[str, ...]
    prediction: Prediction | None = None
    retake: tuple[QualityReason, ...] = ()
    """Why the photograph should be taken again."""
    explanation: str = ""
    """In words: how far the members agree, and why the severity is indeterminate if it is."""
    error: str = ""
    """In words: why it could not be scored."""

    def row(self) -> dict[str, str | float | list[str] | None]:
        """Return the columns of `COLUMNS`; probabilities are empty where there is no score."""
        row: dict[str, str | float | list[str] | None] = dict.fromkeys(COLUMNS)
        row |= {"image": self.image, "severity": self.severity.value, "reasons": [*self.reasons]}
        row |= {"quality": [*self.retake], "explanation": self.explanation}
        if prediction := self.prediction:
            row |= {"p_severe": prediction.p_severe, "disagreement": prediction.disagreement}
            row |= {f"p_{name}": value for name, value in prediction.probabilities.items()}
        return row


def score_photographs(
    photographs: Sequence[Path],
    ensemble: Ensemble,
    *,
    batch: int,
    inputs: Mapping[str, Inputs] | None = None,
) -> Iterator[Scored]:
    """Score photographs and yield the results in order; an unreadable one does not stop the others.

    Threads decode and prepare the next batches while the device computes.

    Parameters
    ----------
    photographs
        Files.
    ensemble
        A loaded release; its proposed thresholds decide the severity.
    batch
        Photographs per device batch.
    inputs
        Metadata inputs by the names of the photographs.
    """
    inputs = inputs or {}
    names = dict(zip(photographs, distinct_names(photographs), strict=True))
    policy = ensemble.manifest.thresholds.policy()

    def load(path: Path) -> Photograph | Scored:
        try:
            return decode_original(path.read_bytes(), ensemble)
        except ImageRejected as error:
            return Scored(names[path], Severity.UNSCORED, (error.code,), error=str(error))
        except OSError as error:
            return Scored(
                names[path],
                Severity.UNSCORED,
                ("unreadable_file",),
                error=f"The file cannot be read: {error.strerror}.",
            )

    remaining = iter(photographs)
    waiting: deque[tuple[Path, Future[Photograph | Scored]]] = deque()
    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decoder") as decoders:
        try:
            while True:
                ahead = islice(remaining, 3 * batch - len(waiting))
                waiting.extend((path, decoders.submit(load, path)) for path in ahead)
                if not waiting:
                    return
                taken = [waiting.popleft() for _ in range(min(batch, len(waiting)))]
                loaded = [(path, future.result()) for path, future in taken]
                yield from _evaluate(loaded, names, ensemble, policy, inputs)
        finally:
            decoders.shutdown(wait=False, cancel_futures=True)


def _evaluate(
    loaded: Sequence[tuple[Path, Photograph | Scored]],
    names: Mapping[Path, str],
    ensemble: Ensemble,
    policy: Policy,
    inputs: Mapping[str, Inputs],
) -> Iterator[Scored]:
    items = [
        (result.square, inputs.get(name_of(path), {}))
        for path, result in loaded
        if isinstance(result, Photograph)
    ]
    predictions = iter(_predict(ensemble, items))
    for path, result in loaded:
        if isinstance(result, Scored):
            yield result
            continue
        prediction = next(predictions)
        finding = Finding(prediction.p_severe, prediction.disagreement, prediction.out_of_scope)
        triage = triage_image(finding, policy)
        width, height = rendition_size(result.rendition)
        yield Scored(
            names[path],
            triage.severity,
            triage.reasons,
            prediction,
            retake=quality_reasons(prediction.quality, width=width, height=height),
            explanation=explain(finding, prediction.member_p_severe, policy),
        )


def _predict(ensemble: Ensemble, items: Sequence[tuple[Tensor, Inputs]]) -> list[Prediction]:
    try:
        return ensemble.predict([tensor for tensor, _ in items], [inputs for _, inputs in items])
    except DeviceOutOfMemory:
        if len(items) == 1:
            raise
        middle = len(items) // 2
        return _predict(ensemble, items[:middle]) + _predict(ensemble, items[middle:])

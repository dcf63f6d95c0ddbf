"""Score photographs on this machine: no server, no database, the worker's own code and figures."""

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
from dermtriage.core.settings import Settings
from dermtriage.imaging.rendition import rendition_size
from dermtriage.imaging.retake_advice import QualityReason, quality_reasons
from dermtriage.triage.explanation import explain
from dermtriage.triage.image_severity import Finding, triage_image
from dermtriage.triage.policy import Policy
from dermtriage_cli.photographs import name_of
from dermtriage_worker.ensemble.device import DeviceOutOfMemory
from dermtriage_worker.ensemble.image.photograph import Photograph, decode_original
from dermtriage_worker.ensemble.inference import Ensemble, Prediction
from dermtriage_worker.ensemble.metadata import Inputs
from dermtriage_worker.scoring.overlay import overlay

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
    """What a release says of one photograph; without a prediction it could not be scored."""

    image: str
    severity: Severity
    reasons: tuple[str, ...]
    prediction: Prediction | None = None
    retake: tuple[QualityReason, ...] = ()
    """Why the photograph should be taken again."""
    explanation: str = ""
    """In words: which members agree, and why it is indeterminate if it is."""
    complaint: str = ""
    """In words, why it could not be scored."""

    def row(self) -> dict[str, str | float | list[str] | None]:
        """Return the columns of `COLUMNS`; probabilities are empty where there is no score."""
        row: dict[str, str | float | list[str] | None] = dict.fromkeys(COLUMNS)
        row |= {"image": self.image, "severity": self.severity.value, "reasons": [*self.reasons]}
        row |= {"quality": [*self.retake], "explanation": self.explanation}
        if said := self.prediction:
            row |= {"p_severe": said.p_severe, "disagreement": said.disagreement}
            row |= {f"p_{name}": value for name, value in said.probabilities.items()}
        return row


def release_folder(settings: Settings, name: str | None) -> Path:
    """Return the folder of a release by its name, or by its path."""
    if name is None:
        return settings.releases_dir / settings.default_release
    return Path(name) if os.sep in name else settings.releases_dir / name


def score_photographs(
    photographs: Sequence[Path],
    ensemble: Ensemble,
    *,
    batch: int,
    inputs: Mapping[str, Inputs] | None = None,
) -> Iterator[Scored]:
    """Score photographs and yield each in its order; an unreadable one stops no other.

    Threads decode the next batches while the device computes.

    Parameters
    ----------
    photographs
        Files.
    ensemble
        A loaded release; its proposed thresholds judge.
    batch
        Photographs a device batch.
    inputs
        What is known beside the photographs, by their names.
    """
    known = inputs or {}
    policy = ensemble.manifest.thresholds.policy()

    def prepare(path: Path) -> Photograph | Scored:
        try:
            return decode_original(path.read_bytes(), ensemble)
        except ImageRejected as error:
            return Scored(name_of(path), Severity.UNSCORED, (error.code,), complaint=str(error))
        except OSError as error:
            return Scored(
                name_of(path),
                Severity.UNSCORED,
                ("unreadable_file",),
                complaint=f"The file cannot be read: {error.strerror}.",
            )

    upcoming = iter(photographs)
    waiting: deque[tuple[Path, Future[Photograph | Scored]]] = deque()
    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decoder") as decoders:
        try:
            while True:
                ahead = islice(upcoming, 3 * batch - len(waiting))
                waiting.extend((path, decoders.submit(prepare, path)) for path in ahead)
                if not waiting:
                    return
                taken = [waiting.popleft() for _ in range(min(batch, len(waiting)))]
                prepared = [(path, decoded.result()) for path, decoded in taken]
                yield from _judge(prepared, ensemble, policy, known)
        finally:
            decoders.shutdown(wait=False, cancel_futures=True)


def heat_map(path: Path, ensemble: Ensemble) -> bytes:
    """Lay over a photograph what raised its severe score; return a JPEG.

    Raises
    ------
    ImageRejected
        If the file is no photograph.
    """
    # It brings a plotting library along, and scoring alone does without.
    from dermtriage_worker.ensemble.attribution import heat_maps  # noqa: PLC0415

    photograph = decode_original(path.read_bytes(), ensemble)
    (heat,) = heat_maps(ensemble, photograph.square[None])
    return overlay(photograph.rendition, heat)


def _judge(
    prepared: Sequence[tuple[Path, Photograph | Scored]],
    ensemble: Ensemble,
    policy: Policy,
    inputs: Mapping[str, Inputs],
) -> Iterator[Scored]:
    items = [
        (found.square, inputs.get(name_of(path), {}))
        for path, found in prepared
        if isinstance(found, Photograph)
    ]
    predictions = iter(_predict(ensemble, items))
    for path, found in prepared:
        if isinstance(found, Scored):
            yield found
            continue
        said = next(predictions)
        finding = Finding(said.p_severe, said.disagreement, said.out_of_scope)
        triage = triage_image(finding, policy)
        width, height = rendition_size(found.rendition)
        yield Scored(
            name_of(path),
            triage.severity,
            triage.reasons,
            said,
            retake=quality_reasons(said.quality, width=width, height=height),
            explanation=explain(finding, said.member_p_severe, policy),
        )


def _predict(ensemble: Ensemble, items: Sequence[tuple[Tensor, Inputs]]) -> list[Prediction]:
    try:
        return ensemble.predict([square for square, _ in items], [known for _, known in items])
    except DeviceOutOfMemory:
        if len(items) == 1:
            raise
        middle = len(items) // 2
        return _predict(ensemble, items[:middle]) + _predict(ensemble, items[middle:])

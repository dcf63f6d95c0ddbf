"""The scoring loop: claim, decode, score, record, until nothing is pending.

A failure of one image stays with that image. An outage of database, store or device gives the
images back untried.
"""

import logging
from collections.abc import Callable, Sequence
from math import isfinite
from typing import TypeVar
from uuid import UUID

import torch
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dermtriage import assessments, claims, workers
from dermtriage.claims import Lease
from dermtriage.db import outage_as_unavailable, utcnow
from dermtriage.errors import ConfigurationError, DermtriageError, ReleaseInvalid, Unavailable
from dermtriage.models import Release
from dermtriage.releases import active_release
from dermtriage_worker.claimed import Ready, result_of
from dermtriage_worker.ensemble.device import DeviceLost, DeviceOutOfMemory
from dermtriage_worker.ensemble.ensemble import Ensemble, Prediction
from dermtriage_worker.explanations import Explanations
from dermtriage_worker.photographs import prepare_photograph
from dermtriage_worker.runtime import Runtime
from dermtriage_worker.shadow import score_shadow

logger = logging.getLogger(__name__)

T = TypeVar("T")

OUTAGES = (Unavailable, DeviceOutOfMemory, ReleaseInvalid, ConfigurationError, MemoryError)
"""What says nothing about the photographs that it kept from being scored."""


class NoScore(DermtriageError):
    """An image drove the ensemble out of the range of its numbers."""

    code = "no_score"


def score_pending(runtime: Runtime, first: UUID | None) -> int:
    """Score `first`, if it still waits, and then whatever is pending, the most urgent first.

    Returns
    -------
    int
        How many images got an assessment.

    Raises
    ------
    DeviceLost
        If the device failed for good; only a new process can use it again.
    """
    done = 0
    explanations = Explanations(runtime)
    with runtime.task():
        while not runtime.stopping.is_set():
            claimed = _claim(runtime, first)
            first = None
            if claimed is None:
                # What waits for its score comes before a map of what has one.
                if explanations.make_one():
                    continue
                break
            release, leases = claimed
            with runtime.batch(leases):
                done += _score(runtime, release, leases)
            explanations.add([lease.image_id for lease in leases], release)
    return done


def _claim(runtime: Runtime, first: UUID | None) -> tuple[Release, list[Lease]] | None:
    settings = runtime.settings
    with outage_as_unavailable(), runtime.sessions.begin() as session:
        # Most messages of a rush come when their image is done: one short query answers them.
        if not claims.most_urgent(session, 1, max_attempts=settings.max_attempts):
            return None
        leases = claims.take(
            session,
            worker_id=runtime.worker_id,
            first=first,
            batch=settings.scoring_batch,
            slots=workers.live_slots(session, slow_after=settings.slow_after),
            lease_seconds=settings.lease_seconds,
            max_attempts=settings.max_attempts,
        )
        return (active_release(session), leases) if leases else None


def _score(runtime: Runtime, release: Release, leases: Sequence[Lease]) -> int:
    try:
        ensemble = runtime.ensembles.get(release)
        ready = _decode(runtime, ensemble, leases)
        said = _predict(runtime, ensemble, ready)
    except OUTAGES as error:
        _give_back(runtime, leases, error)
        return 0
    except DeviceLost as error:
        # One of them may be what broke the device: the attempt counts, so that each is claimed
        # alone from now on. A device that is broken by itself stops the next process at its start.
        _retry(runtime, leases, error)
        raise
    results = [result_of(item, prediction) for item, prediction in said]
    written = _record(runtime, release, str(ensemble.device), results)
    runtime.completed(written)
    score_shadow(runtime, [item for item, _ in said], release, ensemble)
    return written


def _record(
    runtime: Runtime, release: Release, device: str, results: Sequence[assessments.Result]
) -> int:
    if not results:
        return 0
    try:
        return _persist(
            runtime,
            lambda session: assessments.record(
                session, results, release_id=release.id, device=device, now=utcnow()
            ),
        )
    except SQLAlchemyError as error:
        # The database refused what one of them holds: halve until it stands alone.
        if len(results) == 1:
            _fail(runtime, results[0].lease, error)
            return 0
        middle = len(results) // 2
        return sum(
            _record(runtime, release, device, half) for half in (results[:middle], results[middle:])
        )


def _decode(runtime: Runtime, ensemble: Ensemble, leases: Sequence[Lease]) -> list[Ready]:
    ready = []
    for lease in leases:
        try:
            original = runtime.store.get_original(lease.image_id)
            photograph = prepare_photograph(original, ensemble)
            runtime.store.put_rendition(lease.image_id, photograph.rendition)
        except (Unavailable, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, its neighbours go on
            _fail(runtime, lease, error)
        else:
            ready.append(Ready(lease, photograph))
    return ready


def _predict(
    runtime: Runtime, ensemble: Ensemble, ready: Sequence[Ready]
) -> list[tuple[Ready, Prediction]]:
    if not ready:
        return []
    try:
        with runtime.turn(ensemble):
            predictions = ensemble.predict(
                [item.photograph.prepared for item in ready], [item.lease.inputs for item in ready]
            )
        _require_numbers(predictions)
    except (DeviceOutOfMemory, MemoryError):
        raise
    except torch.AcceleratorError as error:
        raise DeviceLost("The device failed.") from error
    except Exception as error:  # noqa: BLE001 - whatever it is, its neighbours go on
        if len(ready) == 1:
            _require_device(runtime, ensemble, ready[0].photograph.prepared, error)
            _fail(runtime, ready[0].lease, error)
            return []
        # One of them broke the batch: halve until it stands alone.
        middle = len(ready) // 2
        return _predict(runtime, ensemble, ready[:middle]) + _predict(
            runtime, ensemble, ready[middle:]
        )
    return list(zip(ready, predictions, strict=True))


def _require_device(
    runtime: Runtime, ensemble: Ensemble, like: torch.Tensor, error: Exception
) -> None:
    """Tell an image that fails from a device that does: a black square must pass."""
    try:
        with runtime.turn(ensemble):
            ensemble.predict([torch.zeros_like(like)])
    except Exception:  # noqa: BLE001 - whatever it is, it is not the image
        raise DeviceLost("The device failed.") from error


def _require_numbers(predictions: Sequence[Prediction]) -> None:
    # What is no number lies above no threshold: it would pass for low.
    for said in predictions:
        if not (isfinite(said.p_severe) and isfinite(said.disagreement)):
            raise NoScore("The ensemble came to no number.")


def _fail(runtime: Runtime, lease: Lease, error: Exception) -> None:
    """Try the image again later, or leave it unscored after its last attempt."""
    # The text of a foreign exception may quote what it read; ours never does.
    reason = str(error) if isinstance(error, DermtriageError) else type(error).__name__
    logger.warning(
        "image failed",
        extra={"image_id": lease.image_id, "attempts": lease.attempts, "reason": reason},
        exc_info=error if not isinstance(error, DermtriageError) else None,
    )
    if lease.attempts >= runtime.settings.max_attempts:
        _persist(runtime, lambda s: assessments.fail(s, lease, error=reason, now=utcnow()))
    else:
        delay = runtime.settings.outage_delay * lease.attempts
        _persist(runtime, lambda s: claims.retry_later(s, lease, delay=delay, error=reason))


def _give_back(runtime: Runtime, leases: Sequence[Lease], error: Exception) -> None:
    logger.error("outage", extra={"images": len(leases), "reason": type(error).__name__})
    delay = runtime.settings.outage_delay
    _persist(
        runtime,
        lambda s: claims.give_back(s, leases, delay=delay, error=f"outage: {type(error).__name__}"),
    )


def _retry(runtime: Runtime, leases: Sequence[Lease], error: DermtriageError) -> None:
    delay = runtime.settings.outage_delay

    def write(session: Session) -> None:
        for lease in leases:
            claims.retry_later(session, lease, delay=delay, error=str(error))

    _persist(runtime, write)


def _persist(runtime: Runtime, write: Callable[[Session], T]) -> T:
    """Write in a transaction of its own; wait out an outage of the database.

    What has been computed is worth keeping: the leases tell afterwards what still counts.

    Raises
    ------
    Unavailable
        If the process is told to stop before the database is back.
    """
    while True:
        try:
            with outage_as_unavailable(), runtime.sessions.begin() as session:
                return write(session)
        except Unavailable:
            if runtime.stopping.wait(runtime.settings.outage_delay):
                raise

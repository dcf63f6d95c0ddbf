"""The scoring loop: claim, decode, score, record, until nothing is pending.

A failure of one image stays with that image. An outage of database, store or device gives the
images back untried.
"""

import logging
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dermtriage.core.clock import utcnow
from dermtriage.core.errors import DermtriageError
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.models import Release
from dermtriage.releases.queries import active_release
from dermtriage.scoring import recording, workers
from dermtriage.scoring.leases import Lease, acquire_leases, release_leases, retry_later
from dermtriage_worker.ensemble.device import DeviceLost
from dermtriage_worker.ensemble.image.photograph import Photograph, decode_original
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.scoring.batch import OUTAGES, persist, predict, prepared, reason_of
from dermtriage_worker.scoring.claimed import Ready, result_of
from dermtriage_worker.scoring.heat_maps import Explanations
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.shadow import score_shadow

logger = logging.getLogger(__name__)

T = TypeVar("T")


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
    explanations = Explanations(runtime)
    with runtime.task():
        done = drain(runtime, explanations, first)
        # What waits for its score comes before a map of what has one.
        while not runtime.stopping.is_set() and explanations.make_one():
            done += drain(runtime, explanations)
    return done


def drain(runtime: Runtime, explanations: Explanations, first: UUID | None = None) -> int:
    """Score pending images until there are none; the thread counts as busy already.

    Raises
    ------
    DeviceLost
        If the device failed for good.
    """
    done = 0
    while not runtime.stopping.is_set():
        claimed = _claim(runtime, first)
        first = None
        if claimed is None:
            break
        release, leases = claimed
        with runtime.batch(leases):
            done += _score(runtime, release, leases)
        explanations.add([lease.image_id for lease in leases], release)
    return done


def _claim(runtime: Runtime, first: UUID | None) -> tuple[Release, list[Lease]] | None:
    # Most messages of a rush come when their image is done: one short query answers them.
    if not runtime.has_backlog():
        return None
    settings = runtime.settings
    with outage_as_unavailable(), runtime.sessions.begin() as session:
        leases = acquire_leases(
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
        said = predict(runtime, ensemble, ready, _fail, urgent=True)
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
    runtime: Runtime, release: Release, device: str, results: Sequence[recording.ScoredImage]
) -> int:
    if not results:
        return 0
    try:
        return persist(
            runtime,
            lambda session: recording.record_scores(
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
    def prepare(lease: Lease) -> Photograph:
        original = runtime.store.get_original(lease.image_id)
        photograph = runtime.preparation.decode(decode_original, original, ensemble)
        runtime.store.put_rendition(lease.image_id, photograph.rendition)
        return photograph

    return prepared(runtime, prepare, leases, _fail)


def _fail(runtime: Runtime, lease: Lease, error: Exception) -> None:
    """Try the image again later, or leave it unscored after its last attempt."""
    reason = reason_of(error)
    logger.warning(
        "image failed",
        extra={"image_id": lease.image_id, "attempts": lease.attempts, "reason": reason},
        exc_info=error if not isinstance(error, DermtriageError) else None,
    )
    if lease.attempts >= runtime.settings.max_attempts:
        persist(runtime, lambda s: recording.record_failure(s, lease, error=reason, now=utcnow()))
    else:
        delay = runtime.settings.outage_delay * lease.attempts
        persist(runtime, lambda s: retry_later(s, lease, delay=delay, error=reason))


def _give_back(runtime: Runtime, leases: Sequence[Lease], error: Exception) -> None:
    logger.error("outage", extra={"images": len(leases), "reason": type(error).__name__})
    delay = runtime.settings.outage_delay
    persist(
        runtime,
        lambda s: release_leases(s, leases, delay=delay, error=f"outage: {type(error).__name__}"),
    )


def _retry(runtime: Runtime, leases: Sequence[Lease], error: DermtriageError) -> None:
    delay = runtime.settings.outage_delay

    def write(session: Session) -> None:
        for lease in leases:
            retry_later(session, lease, delay=delay, error=str(error))

    persist(runtime, write)

"""Score pending images: lease, load, score, record, until none are left.

What fails for one image fails for that image alone. An outage of database, store or device gives
the images back, and costs them no attempt.
"""

import logging
from collections.abc import Sequence
from functools import partial
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
from dermtriage_worker.scoring.batch import load_images, predict, scored_image
from dermtriage_worker.scoring.failures import OUTAGES, failure_reason, write_with_retries
from dermtriage_worker.scoring.heat_maps import HeatMapQueue
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.shadow import score_shadow

logger = logging.getLogger(__name__)


def score_pending(runtime: Runtime, first: UUID | None) -> int:
    """Score `first`, if it is still pending, and then all pending images, the most urgent first.

    Returns
    -------
    int
        Number of images that got an assessment.

    Raises
    ------
    DeviceLost
        If the device failed for good; only a new process can use it again.
    """
    heat_maps = HeatMapQueue(runtime)
    with runtime.busy():
        return score_uploads(runtime, heat_maps, first) + make_heat_maps(runtime, heat_maps)


def score_uploads(runtime: Runtime, heat_maps: HeatMapQueue, first: UUID | None = None) -> int:
    """Score pending images until there are none; return how many got an assessment.

    Raises
    ------
    DeviceLost
        If the device failed for good.
    """
    done = 0
    while not runtime.stopping.is_set():
        leased = _lease(runtime, first)
        first = None
        if leased is None:
            break
        release, leases = leased
        with runtime.running_batch(leases):
            done += _score(runtime, release, leases)
        heat_maps.add([lease.image_id for lease in leases], release)
    return done


def make_heat_maps(runtime: Runtime, heat_maps: HeatMapQueue) -> int:
    """Make the queued heat maps, and after each score pending images: these come first.

    Returns
    -------
    int
        Number of images that got an assessment.
    """
    done = 0
    while not runtime.stopping.is_set() and heat_maps.make_one():
        done += score_uploads(runtime, heat_maps)
    return done


def _lease(runtime: Runtime, first: UUID | None) -> tuple[Release, list[Lease]] | None:
    # Under load most messages arrive after their image was scored: one short query answers them.
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
    fail = partial(_fail, runtime)
    try:
        ensemble = runtime.active.ensemble_of(release)
        images = load_images(runtime, partial(_load, runtime, ensemble), leases, fail)
        scored = predict(runtime, ensemble, images, fail, urgent=True)
    except OUTAGES as error:
        _give_back(runtime, leases, error)
        return 0
    except DeviceLost as error:
        # One of them may have broken the device: the attempt counts, so that each is leased alone
        # from now on. A device that is broken by itself stops the next process at its start.
        _retry(runtime, leases, error)
        raise
    results = [scored_image(image, prediction) for image, prediction in scored]
    written = _record(runtime, release, str(ensemble.device), results)
    runtime.count_completed(written)
    score_shadow(runtime, [image for image, _ in scored], release, ensemble)
    return written


def _load(runtime: Runtime, ensemble: Ensemble, lease: Lease) -> Photograph:
    original = runtime.store.get_original(lease.image_id)
    photograph = runtime.photographs.decode(decode_original, original, ensemble)
    runtime.store.put_rendition(lease.image_id, photograph.rendition)
    return photograph


def _record(
    runtime: Runtime, release: Release, device: str, results: Sequence[recording.ScoredImage]
) -> int:
    if not results:
        return 0
    try:
        return write_with_retries(
            runtime,
            lambda session: recording.record_scores(
                session, results, release_id=release.id, device=device, now=utcnow()
            ),
        )
    except SQLAlchemyError as error:
        # The database refused one of the rows: halve them until that one is alone.
        if len(results) == 1:
            _fail(runtime, results[0].lease, error)
            return 0
        middle = len(results) // 2
        return sum(
            _record(runtime, release, device, half) for half in (results[:middle], results[middle:])
        )


def _fail(runtime: Runtime, lease: Lease, error: Exception) -> None:
    """Retry the image later, or leave it unscored after its last attempt."""
    reason = failure_reason(error)
    logger.warning(
        "image failed",
        extra={"image_id": lease.image_id, "attempts": lease.attempts, "reason": reason},
        exc_info=error if not isinstance(error, DermtriageError) else None,
    )
    if lease.attempts >= runtime.settings.max_attempts:
        write_with_retries(
            runtime, lambda s: recording.record_failure(s, lease, error=reason, now=utcnow())
        )
    else:
        delay = runtime.settings.outage_delay * lease.attempts
        write_with_retries(runtime, lambda s: retry_later(s, lease, delay=delay, error=reason))


def _give_back(runtime: Runtime, leases: Sequence[Lease], error: Exception) -> None:
    reason = type(error).__name__
    logger.error("outage, images given back", extra={"images": len(leases), "reason": reason})
    delay = runtime.settings.outage_delay
    write_with_retries(
        runtime, lambda s: release_leases(s, leases, delay=delay, error=f"outage: {reason}")
    )


def _retry(runtime: Runtime, leases: Sequence[Lease], error: DermtriageError) -> None:
    delay = runtime.settings.outage_delay

    def write(session: Session) -> None:
        for lease in leases:
            retry_later(session, lease, delay=delay, error=str(error))

    write_with_retries(runtime, write)

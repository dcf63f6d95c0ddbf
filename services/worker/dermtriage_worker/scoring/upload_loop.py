"""Score pending images: lease, load, score, record, until none are left.

What fails for one image fails for that image alone. An outage of database, store or device gives
the images back, and costs them no attempt.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

from dermtriage.core.clock import utcnow
from dermtriage.core.errors import Unavailable
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.models import Release
from dermtriage.releases.queries import active_release
from dermtriage.scoring import recording, workers
from dermtriage.scoring.lease_acquisition import acquire_leases, acquire_suspect
from dermtriage.scoring.leases import Lease
from dermtriage_worker.ensemble.device import DeviceLost
from dermtriage_worker.ensemble.image.photograph import Photograph, decode_original
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.scoring.batch import load_images, predict, scored_image
from dermtriage_worker.scoring.failures import OUTAGES, write_with_retries
from dermtriage_worker.scoring.heat_maps import make_next_heat_map
from dermtriage_worker.scoring.photograph_loader import original_digests
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.shadow import score_shadow
from dermtriage_worker.scoring.upload_failures import (
    fail_image,
    give_back,
    give_back_as_suspects,
)

logger = logging.getLogger(__name__)


def score_pending(runtime: Runtime, first: UUID | None = None) -> int:
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
    with runtime.busy():
        return score_uploads(runtime, first) + make_heat_maps(runtime)


def score_uploads(runtime: Runtime, first: UUID | None = None) -> int:
    """Score pending images until there are none; return how many got an assessment.

    Raises
    ------
    DeviceLost
        If the device failed for good.
    """
    done = 0
    while not runtime.stopping.is_set():
        tried = runtime.isolation.tried
        # Under load most messages arrive after their image was scored: one short query answers
        # them.
        backlog = runtime.find_backlog()
        # Each is None if there was nothing to lease.
        batch = _score_batch(runtime, first) if backlog.images else None
        suspect = _score_suspect(runtime, tried) if backlog.suspects else None
        if batch is None and suspect is None:
            break
        first = None
        done += (batch or 0) + (suspect or 0)
    return done


def make_heat_maps(runtime: Runtime) -> int:
    """Make the heat maps that wait, and before each score pending images: these come first.

    Returns
    -------
    int
        Number of images that got an assessment.

    Raises
    ------
    DeviceLost
        If the device failed for good.
    """
    done = 0
    while not runtime.stopping.is_set():
        tried = runtime.isolation.tried
        done += score_uploads(runtime)
        if not make_next_heat_map(runtime, tried):
            break
    return done


def _score_batch(runtime: Runtime, first: UUID | None) -> int | None:
    settings = runtime.settings
    with runtime.isolation.beside_others():
        if runtime.stopping.is_set():
            return None
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
            release = active_release(session)
        return _score(runtime, release, leases) if leases else None


def _score_suspect(runtime: Runtime, tried: int) -> int | None:
    """Score the most urgent suspect while the process does nothing else.

    Returns
    -------
    int or None
        Number of images that got an assessment, also 0 if another thread had its turn; None if
        there was no suspect.
    """
    with runtime.isolation.alone(tried) as granted:
        if not granted or runtime.stopping.is_set():
            return 0
        with outage_as_unavailable(), runtime.sessions.begin() as session:
            lease = acquire_suspect(
                session,
                worker_id=runtime.worker_id,
                lease_seconds=runtime.settings.lease_seconds,
                max_attempts=runtime.settings.max_attempts,
            )
            release = active_release(session)
        if lease is None:
            return None
        logger.info("suspect tried", extra={"image_id": lease.image_id, "attempt": lease.attempts})
        return _score(runtime, release, [lease])


def _score(runtime: Runtime, release: Release, leases: Sequence[Lease]) -> int:
    with runtime.running.run(leases):
        return _score_leased(runtime, release, leases)


def _score_leased(runtime: Runtime, release: Release, leases: Sequence[Lease]) -> int:
    fail = partial(fail_image, runtime)
    try:
        ensemble = runtime.active.ensemble_of(release)
        digests = original_digests(runtime.sessions, [lease.image_id for lease in leases])
        images = load_images(runtime, partial(_load, runtime, ensemble, digests), leases, fail)
        scored = predict(runtime, ensemble, images, fail, urgent=True)
    except OUTAGES as error:
        give_back(runtime, leases, error)
        return 0
    except DeviceLost as error:
        give_back_as_suspects(runtime, leases, error)
        raise
    results = [scored_image(image, prediction) for image, prediction in scored]
    written = _record(runtime, release, str(ensemble.device), results)
    runtime.count_completed(written)
    score_shadow(runtime, [image for image, _ in scored], release, ensemble)
    return written


def _load(
    runtime: Runtime, ensemble: Ensemble, digests: Mapping[UUID, bytes], lease: Lease
) -> Photograph:
    original = runtime.store.get_original(lease.image_id, digests[lease.image_id])
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
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 - the other images go on, whatever it is
        # One of the rows cannot be written: halve them until that one is alone.
        if len(results) == 1:
            fail_image(runtime, results[0].lease, error)
            return 0
        middle = len(results) // 2
        return sum(
            _record(runtime, release, device, half) for half in (results[:middle], results[middle:])
        )

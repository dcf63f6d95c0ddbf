"""Recovery: find in PostgreSQL what Redis lost or a dead worker left behind, and restart it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dermtriage.core.settings import Settings
from dermtriage.rescoring import chunk_leases
from dermtriage.scoring import recording, workers
from dermtriage.scoring.heat_maps import waiting_heat_maps
from dermtriage.scoring.lease_acquisition import take_over_exhausted
from dermtriage.scoring.pending import most_urgent_images

logger = logging.getLogger(__name__)

REMOVE_SILENT_AFTER = timedelta(minutes=10)
"""A worker without a heartbeat for this long is removed from the registry."""


@dataclass(frozen=True, slots=True)
class RecoveryResult:
    """What recovery found.

    Attributes
    ----------
    image_ids
        Images that await a score or a heat map, one for each thread to wake; to be sent once the
        transaction has been committed.
    rescore_threads
        Number of further threads to wake for chunks of rescore runs.
    failed
        Number of images that failed because their attempts are used up.
    """

    image_ids: Sequence[UUID]
    rescore_threads: int
    failed: int


def recover(session: Session, settings: Settings, *, now: datetime) -> RecoveryResult:
    """Fail images that used up their attempts, and return what to wake idle threads for.

    A thread that is woken continues until nothing is pending. One message per idle thread is
    therefore enough for any backlog, and the queue does not fill up while no worker runs.
    """
    failed = 0
    for lease in take_over_exhausted(session, max_attempts=settings.max_attempts):
        error = f"Gave up after {lease.attempts} attempts: the worker did not come back."
        try:
            # A case that cannot be written must not keep the others from recovery.
            with session.begin_nested():
                failed += recording.record_failure(session, lease, error=error, now=now)
        except IntegrityError:
            logger.exception("failure not recorded", extra={"image_id": lease.image_id})
    workers.remove_silent_workers(session, silent_for=REMOVE_SILENT_AFTER)
    idle = workers.free_slots(session, slow_after=settings.slow_after)
    image_ids = (
        [*most_urgent_images(session, idle, max_attempts=settings.max_attempts)] if idle else []
    )
    rescore_threads = chunk_leases.count_available(session, max(0, idle - len(image_ids)))
    still_idle = max(0, idle - len(image_ids) - rescore_threads)
    image_ids += [waiting.image_id for waiting in waiting_heat_maps(session, still_idle)]
    if image_ids or rescore_threads or failed:
        woken = len(image_ids) + rescore_threads
        logger.info("recovery", extra={"woken": woken, "failed": failed})
    return RecoveryResult(image_ids, rescore_threads, failed)

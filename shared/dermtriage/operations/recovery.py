"""The safety net: find in PostgreSQL what Redis forgot or a dead worker left, and set it going."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dermtriage.core.settings import Settings
from dermtriage.rescoring import chunks
from dermtriage.scoring import recording, workers
from dermtriage.scoring.leases import take_over_exhausted
from dermtriage.scoring.pending import most_urgent_images

logger = logging.getLogger(__name__)


FORGET_AFTER = timedelta(minutes=10)
"""A worker that was silent for this long is struck off the list."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one look found."""

    wake: Sequence[UUID]
    """Images to send messages for, once the transaction has been committed."""
    rescore: int
    """Threads that chunks of rescore runs could use."""
    failed: int


def recover(session: Session, settings: Settings, *, now: datetime) -> Found:
    """Fail images that used up their attempts, and name one image for each idle thread.

    A thread that has been woken goes on until nothing is pending, so one message a thread is
    enough for any backlog, and a queue without workers does not fill with messages.
    """
    failed = 0
    for lease in take_over_exhausted(session, max_attempts=settings.max_attempts):
        error = f"Gave up after {lease.attempts} attempts: the worker did not come back."
        try:
            # One case that cannot be written must not stop the safety net for the others.
            with session.begin_nested():
                failed += recording.record_failure(session, lease, error=error, now=now)
        except IntegrityError:
            logger.exception("could not give up", extra={"image_id": lease.image_id})
    workers.remove_silent_workers(session, silent_for=FORGET_AFTER)
    free = workers.free_slots(session, slow_after=settings.slow_after)
    wake = most_urgent_images(session, free, max_attempts=settings.max_attempts) if free else []
    rescore = chunks.count_waiting(session, max(0, free - len(wake)))
    if wake or rescore or failed:
        logger.info("recovery", extra={"woken": len(wake) + rescore, "failed": failed})
    return Found(wake, rescore, failed)

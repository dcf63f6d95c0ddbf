"""End a scoring process that cannot go on, and leave its work to others at once."""

import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NoReturn

from dermtriage.core.errors import Unavailable
from dermtriage.rescoring import chunk_leases
from dermtriage.scoring import lease_release, workers
from dermtriage_worker.ensemble.device import DeviceLost
from dermtriage_worker.process import STALLED
from dermtriage_worker.scoring.running_batches import RunningBatch, chunk_tokens, lease_tokens
from dermtriage_worker.scoring.runtime import Runtime

logger = logging.getLogger(__name__)


def end_process(runtime: Runtime, suspects: Collection[RunningBatch], *, reason: str) -> NoReturn:
    """Release all leases of this process, and end it; its supervisor starts another.

    Parameters
    ----------
    suspects
        The batches that may be why it ends.
    reason
        Kept with their images.
    """
    images = sum(len(batch.leases) for batch in suspects)
    logger.critical("ending the process", extra={"reason": reason, "suspects": images})
    try:
        release_everything(runtime, suspects, reason=reason)
    except Exception:  # it must end, whatever happens; its leases expire
        logger.exception("leases not released")
    os._exit(STALLED)


def release_everything(
    runtime: Runtime, suspects: Collection[RunningBatch], *, reason: str
) -> None:
    """Release all leases of this process, which leases nothing more.

    Parameters
    ----------
    suspects
        The batches that may be why it ends: each of their images is tried alone from now on.
    reason
        Kept with these images.
    """
    runtime.stopping.set()
    with runtime.sessions.begin() as session:
        lease_release.release_all_of_worker(
            session,
            worker_id=runtime.worker_id,
            suspects=lease_tokens(suspects),
            error=reason,
        )
        chunk_leases.release_all_of_worker(
            session, worker_id=runtime.worker_id, suspects=chunk_tokens(suspects)
        )
        workers.remove_worker(session, worker_id=runtime.worker_id)


@contextmanager
def failures_handled(runtime: Runtime) -> Iterator[None]:
    """Log an outage, and end the process if its device is lost; other errors pass."""
    try:
        yield
    except Unavailable as error:
        # The work is in the database, where an idle slot finds it again.
        logger.warning("work postponed", extra={"reason": str(error)})
    except DeviceLost as error:
        logger.critical("device lost", exc_info=True)
        # The other threads have lost it too, and perhaps one of their images is why.
        end_process(runtime, runtime.running.all(), reason=str(error))

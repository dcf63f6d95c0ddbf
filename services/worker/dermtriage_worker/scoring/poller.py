"""Idle slots look into PostgreSQL for work, so that no work waits for a message.

A message may be lost, late, or held by a Redis server that does not answer. Then an idle slot finds
the work here, and does what the message would have begun.
"""

import logging
import threading
from collections.abc import Callable

from dermtriage.core.errors import Unavailable
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.messaging.tasks import BULK, UPLOADS
from dermtriage.rescoring import chunk_leases
from dermtriage.scoring.heat_maps import waiting_heat_maps
from dermtriage.scoring.pending import find_backlog
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.termination import failures_handled
from dermtriage_worker.scoring.upload_loop import score_pending

logger = logging.getLogger(__name__)

POLL_SECONDS = 2.0
"""Pause between two looks of an idle slot: short enough that an upload without a message is scored
within five seconds, which an idle CPU worker needs half of."""


class Poller:
    """A thread per slot, which works while the slot is idle and work waits.

    Parameters
    ----------
    pause
        Seconds between two looks of a slot.
    """

    def __init__(self, runtime: Runtime, *, pause: float = POLL_SECONDS) -> None:
        self._runtime = runtime
        self._pause = pause
        self._queues = set(runtime.settings.worker_queues.split(","))
        slots = runtime.settings.scoring_threads
        self._threads = [
            # They look in turns, since the first one that looks takes all that waits at first.
            threading.Thread(
                target=self._run, args=(pause * number / slots,), name="poller", daemon=True
            )
            for number in range(1, slots + 1)
        ]

    def start(self) -> None:
        """Start the threads, which end when the runtime is told to stop."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for the batches under way; the runtime must have been told to stop."""
        for thread in self._threads:
            thread.join()

    def _run(self, pause: float) -> None:
        while not self._runtime.stopping.wait(pause):
            pause = self._pause
            if self._runtime.slots.acquire(blocking=False):
                try:
                    pause = self._look()
                finally:
                    self._runtime.slots.release()

    def _look(self) -> float:
        """Do what waits; return the pause until the next look, in seconds."""
        try:
            work = self._find_work()
            if work is None:
                return self._pause
            with failures_handled(self._runtime):
                if work(self._runtime) > 0:
                    return self._pause
        except Unavailable:
            logger.debug("not looked for work", exc_info=True)
        except Exception:  # the thread must survive any error
            logger.exception("work failed")
        # What could not be done now, such as a run whose release is broken, is not tried at once.
        return max(self._pause, self._runtime.settings.outage_delay)

    def _find_work(self) -> Callable[[Runtime], int] | None:
        """Return what begins the waiting work of the worker's queues; None if there is none."""
        runtime = self._runtime
        with outage_as_unavailable(), runtime.sessions() as session:
            if BULK in self._queues and chunk_leases.count_available(session, 1):
                # It scores uploads first.
                return rescore
            if UPLOADS in self._queues:
                backlog = find_backlog(session, max_attempts=runtime.settings.max_attempts)
                if backlog.images or backlog.suspects or waiting_heat_maps(session, 1):
                    return score_pending
        return None

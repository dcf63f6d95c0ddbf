"""The pulse of a scoring process, and the watchdog that ends it when it has hung."""

import logging
import os
import threading
import time

from dermtriage.core.errors import Unavailable
from dermtriage_worker.process import STALLED
from dermtriage_worker.scoring.runtime import Runtime

logger = logging.getLogger(__name__)


class Heartbeat:
    """A thread that beats, keeps the leases of running batches, and watches for progress.

    A device call that hangs cannot be interrupted, and a consumer that lost Redis may never
    wake: the process ends itself at once, and its supervisor starts another.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._stop = threading.Event()
        self._progress = runtime.ended
        self._since = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start beating."""
        self._thread.start()

    def stop(self) -> None:
        """Stop beating."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._runtime.settings.heartbeat_seconds):
            try:
                self._runtime.beat()
                stalled = self._stalled()
            except Unavailable:
                # Without the database nothing can progress: that is no fault of this process.
                self._since = time.monotonic()
            except Exception:  # the pulse must outlive any surprise
                logger.exception("heartbeat failed")
            else:
                if stalled:
                    logger.critical("no progress in spite of a backlog, ending the process")
                    os._exit(STALLED)

    def _stalled(self) -> bool:
        # A batch that was given back in an outage ended too: only what hangs does not end.
        ended = self._runtime.ended
        working = self._runtime.pulse().busy > 0 or self._runtime.has_backlog()
        if ended != self._progress or not working:
            self._progress, self._since = ended, time.monotonic()
        return time.monotonic() - self._since > self._runtime.settings.stall_seconds

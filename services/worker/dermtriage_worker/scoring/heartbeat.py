"""The heartbeat of a scoring process, and the watchdog that ends it when it hangs."""

import logging
import threading
import time

from dermtriage.core.errors import Unavailable
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.termination import end_process

logger = logging.getLogger(__name__)


class Heartbeat:
    """A thread that sends heartbeats, renews the leases of running batches, and watches progress.

    A device call that hangs cannot be interrupted, and a consumer that lost Redis may never
    wake: then the process ends itself at once, and its supervisor starts another.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._stop = threading.Event()
        self._progress = runtime.running.ended
        self._since = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait for its end."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._runtime.settings.heartbeat_seconds):
            try:
                self._runtime.send_heartbeat()
                stalled = self._stalled()
            except Unavailable:
                # Without the database nothing can progress, and a new process would not help.
                self._since = time.monotonic()
                self._runtime.running.restart_all_clocks()
            except Exception:  # the thread must survive any error
                logger.exception("heartbeat failed")
            else:
                # Other threads may go on beside a batch that hangs.
                hung = self._runtime.running.hung(self._runtime.settings.stall_seconds)
                if hung:
                    end_process(self._runtime, hung, reason="The worker hung while scoring it.")
                if stalled:
                    end_process(self._runtime, [], reason="The worker completed nothing.")

    def _stalled(self) -> bool:
        # A batch that is given back in an outage ends too: only one that hangs does not.
        ended = self._runtime.running.ended
        working = self._runtime.counts().busy > 0 or self._runtime.has_backlog()
        if ended != self._progress or not working:
            self._progress, self._since = ended, time.monotonic()
        return time.monotonic() - self._since > self._runtime.settings.stall_seconds

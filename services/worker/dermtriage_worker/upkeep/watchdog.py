"""End the process when a duty is neglected: a supervisor starts another."""

import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir

from dermtriage_worker.process import STALLED
from dermtriage_worker.upkeep.timer import Timer

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0

ALIVE = Path(gettempdir()) / "dermtriage-upkeep-alive"
"""The file by whose time of change the probe of a container knows that upkeep is alive."""


def start_watchdog(timer: Timer) -> None:
    """Start a thread that ends the process once a duty of the timer is neglected."""
    threading.Thread(target=_watch, name="watchdog", args=(timer,), daemon=True).start()


def _watch(timer: Timer) -> None:
    while not (neglected := timer.neglected()):
        # Outside of a container the file may belong to another account, and nobody reads it.
        with suppress(OSError):
            ALIVE.touch()
        time.sleep(LOOK_SECONDS)
    logger.critical("duties are neglected, ending the process", extra={"duties": neglected})
    os._exit(STALLED)

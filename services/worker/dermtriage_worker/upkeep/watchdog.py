"""End the process when its recovery has not run for long: a supervisor starts another."""

import logging
import os
import threading
import time

from dermtriage.core.settings import Settings
from dermtriage_worker.process import STALLED
from dermtriage_worker.upkeep.tasks import UpkeepTasks

logger = logging.getLogger(__name__)


def start_watchdog(tasks: UpkeepTasks, settings: Settings) -> None:
    """Start a thread that ends the process once recovery is long overdue."""
    threading.Thread(target=_watch, name="watchdog", args=(tasks, settings), daemon=True).start()


def _watch(tasks: UpkeepTasks, settings: Settings) -> None:
    overdue = max(settings.stall_seconds, 4 * settings.recovery_seconds)
    while time.monotonic() - tasks.last_recovery < overdue:
        time.sleep(settings.heartbeat_seconds)
    logger.critical("recovery did not run for too long, ending the process")
    os._exit(STALLED)

"""The Celery application of upkeep: a small worker with beat, without torch.

It alone consumes the queue ``upkeep``, so a busy or missing GPU never stops the safety net.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from celery import Celery
from celery.schedules import crontab

from dermtriage.core.errors import DermtriageError, StoreMismatch, Unavailable
from dermtriage.core.logging_setup import setup_logging
from dermtriage.core.settings import Settings, get_settings
from dermtriage.messaging.celery_app import make_celery
from dermtriage.messaging.tasks import (
    AGE,
    CHECK_INVARIANTS,
    END_RUNS,
    PLAN_NIGHT,
    RECOVER,
    SWEEP,
    UPKEEP,
)
from dermtriage_worker.process import QUIET
from dermtriage_worker.upkeep.tasks import UpkeepTasks
from dermtriage_worker.upkeep.watchdog import start_watchdog

logger = logging.getLogger(__name__)

THREADS = 4
"""Reports and the nightly tasks may take long; recovery must run in parallel."""

HOUR = 3600.0


def make_app(settings: Settings) -> tuple[Celery, UpkeepTasks]:
    """Build the Celery application, its schedule and its tasks."""
    app = make_celery(settings)
    tasks = UpkeepTasks(settings, app)
    by_name = {
        RECOVER: tasks.recover,
        AGE: tasks.age,
        CHECK_INVARIANTS: tasks.check_invariants,
        SWEEP: tasks.sweep,
        PLAN_NIGHT: tasks.plan_night,
        END_RUNS: tasks.end_runs,
    }
    for name, task in by_name.items():
        app.task(name=name, shared=False)(_outage_logged(name, task))
    hour, minute = settings.invariants_at.split(":")
    nightly = crontab(hour=hour, minute=minute)
    seconds = {
        RECOVER: settings.recovery_seconds,
        # Workers report the end of a run; this finds the ends that they could not report.
        END_RUNS: settings.recovery_seconds,
        AGE: settings.ageing_seconds,
        # Often rather than at its hour, so that a missed night is made up at once.
        PLAN_NIGHT: settings.ageing_seconds,
    }
    app.conf.beat_schedule = {
        name: {
            "task": name,
            "schedule": seconds.get(name, nightly),
            # By then the next message is due, and one is enough.
            "options": {"expires": seconds.get(name, HOUR)},
        }
        for name in by_name
    }
    app.conf.beat_max_loop_interval = min(5, settings.recovery_seconds)
    return app, tasks


def _outage_logged(name: str, task: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            task()
        except Unavailable as error:
            # Servers come back by themselves; a store of another database needs a person.
            level = logging.ERROR if isinstance(error, StoreMismatch) else logging.WARNING
            logger.log(level, "task postponed", extra={"task_name": name, "reason": str(error)})

    return run


def main() -> int:
    """Run upkeep and its beat until told to stop."""
    try:
        settings = get_settings()
        setup_logging(settings.log_level)
        app, tasks = make_app(settings)
    except DermtriageError as error:
        print(f"dermtriage upkeep: {error}", file=sys.stderr)  # noqa: T201 - nothing runs yet
        return 1
    start_watchdog(tasks, settings)
    with TemporaryDirectory(prefix="dermtriage-beat-") as folder:
        # The file only holds what was sent last. Without it recovery and ageing run soon after any
        # start, and a nightly check that was missed runs the next night.
        schedule = str(Path(folder) / "schedule")
        app.worker_main(
            [
                "worker",
                "--beat",
                "--schedule",
                schedule,
                "--pool",
                "threads",
                "--concurrency",
                str(THREADS),
                "--queues",
                UPKEEP,
                *QUIET,
            ]
        )
    return 0

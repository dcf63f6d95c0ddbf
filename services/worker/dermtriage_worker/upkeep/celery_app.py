"""Upkeep: ``python -m dermtriage_worker.upkeep``, a small worker with the beat, without torch.

It drinks the queue ``upkeep`` alone, so a busy or missing GPU never stops the safety net.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from celery import Celery
from celery.schedules import crontab

from dermtriage.cases import ageing
from dermtriage.core.clock import utcnow
from dermtriage.core.errors import DermtriageError, Unavailable
from dermtriage.core.logging_setup import setup_logging
from dermtriage.core.settings import Settings, get_settings
from dermtriage.database.engine import make_engine, make_sessions, outage_as_unavailable
from dermtriage.messaging.celery_app import make_celery
from dermtriage.messaging.sender import send_rescores, send_scores
from dermtriage.messaging.tasks import (
    AGE,
    CHECK_INVARIANTS,
    END_RUNS,
    PLAN_NIGHT,
    RECOVER,
    SWEEP,
    UPKEEP,
)
from dermtriage.operations import invariants, orphan_sweep, recovery
from dermtriage.rescoring import planning, reports
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.process import QUIET, STALLED

logger = logging.getLogger(__name__)


class Upkeep:
    """The tasks of upkeep. Each may run twice, and is due again soon."""

    def __init__(self, settings: Settings, app: Celery) -> None:
        self._settings = settings
        self._app = app
        self._sessions = make_sessions(make_engine(settings))
        self.last_recovery = time.monotonic()

    def recover(self) -> None:
        """Set going what is stuck."""
        self.last_recovery = time.monotonic()
        with outage_as_unavailable(), self._sessions.begin() as session:
            found = recovery.recover(session, self._settings, now=utcnow())
        send_scores(self._app, found.wake)
        send_rescores(self._app, found.rescore)

    def end_runs(self) -> None:
        """End the rescore runs that are done, and write the reports that are missing."""
        with outage_as_unavailable(), self._sessions.begin() as session:
            reports.finish_done(session, now=utcnow())
        with outage_as_unavailable(), self._sessions.begin() as session:
            missing = reports.without_report(session)
        for run_id in missing:
            try:
                # A report that cannot be written must not keep the others from theirs.
                with self._sessions.begin() as session:
                    reports.write_report(session, run_id)
            except Exception:
                logger.exception("report could not be written", extra={"run_id": run_id})

    def plan_night(self) -> None:
        """Plan the rescoring of the last night, unless it is planned."""
        with outage_as_unavailable(), self._sessions.begin() as session:
            planning.plan_night(session, self._settings, now=utcnow())

    def age(self) -> None:
        """Raise the lanes of cases that have waited."""
        limit = 500
        looked_at = limit
        while looked_at == limit:
            with outage_as_unavailable(), self._sessions.begin() as session:
                looked_at = ageing.age_cases(session, now=utcnow(), limit=limit)

    def check_invariants(self) -> None:
        """Look for rows that contradict each other."""
        with outage_as_unavailable(), self._sessions.begin() as session:
            invariants.check_invariants(session)

    def sweep(self) -> None:
        """Remove originals that no row names."""
        before = utcnow() - timedelta(seconds=self._settings.orphan_grace)
        with outage_as_unavailable(), self._sessions.begin() as session:
            removed = orphan_sweep.sweep_orphans(
                session, ImageStore.from_settings(self._settings), before=before
            )
        logger.info("sweep", extra={"removed": removed})


def make_app(settings: Settings) -> tuple[Celery, Upkeep]:
    """Build the Celery application, its schedule and its tasks."""
    app = make_celery(settings)
    upkeep = Upkeep(settings, app)
    jobs = {
        RECOVER: upkeep.recover,
        AGE: upkeep.age,
        CHECK_INVARIANTS: upkeep.check_invariants,
        SWEEP: upkeep.sweep,
        PLAN_NIGHT: upkeep.plan_night,
        END_RUNS: upkeep.end_runs,
    }
    for name, job in jobs.items():
        app.task(name=name, shared=False)(_outage_is_a_warning(name, job))
    hour, minute = settings.invariants_at.split(":")
    nightly = crontab(hour=hour, minute=minute)
    every = {
        RECOVER: settings.recovery_seconds,
        # Workers send word of an end; this finds what they could not tell.
        END_RUNS: settings.recovery_seconds,
        AGE: settings.ageing_seconds,
        # Often rather than at its hour: a night that was missed is made up at once.
        PLAN_NIGHT: settings.ageing_seconds,
    }
    app.conf.beat_schedule = {
        name: {
            "task": name,
            "schedule": every.get(name, nightly),
            # A message that could not be delivered in time is not worth delivering twice.
            "options": {"expires": every.get(name, 3600)},
        }
        for name in jobs
    }
    app.conf.beat_max_loop_interval = min(5, settings.recovery_seconds)
    return app, upkeep


def _outage_is_a_warning(name: str, job: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            job()
        except Unavailable as error:
            logger.warning("put off", extra={"task_name": name, "reason": str(error)})

    return run


def _watch(upkeep: Upkeep, settings: Settings) -> None:
    """End the process when its recovery has not run for long: a supervisor starts another."""
    while time.monotonic() - upkeep.last_recovery < max(
        settings.stall_seconds, 4 * settings.recovery_seconds
    ):
        time.sleep(settings.heartbeat_seconds)
    logger.critical("recovery did not run for too long, ending the process")
    os._exit(STALLED)


def main() -> int:
    """Run upkeep and its beat until told to stop."""
    try:
        settings = get_settings()
        setup_logging(settings.log_level)
        app, upkeep = make_app(settings)
    except DermtriageError as error:
        print(f"dermtriage upkeep: {error}", file=sys.stderr)  # noqa: T201 - nothing runs yet
        return 1
    threading.Thread(target=_watch, args=(upkeep, settings), daemon=True).start()
    with TemporaryDirectory(prefix="dermtriage-beat-") as folder:
        # The file only remembers what was sent last: recovery and ageing are due soon after any
        # start, and a nightly check that was missed comes the next night.
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
                # Reports and the nightly tasks may take long; recovery has to run beside them.
                "4",
                "--queues",
                UPKEEP,
                *QUIET,
            ]
        )
    return 0

"""The process of upkeep: the timer of all duties, until it is told to stop.

It consumes no messages, so neither a missing Redis server nor a busy GPU ever stops the safety net.
"""

import signal
import sys
import threading

from dermtriage.core.errors import DermtriageError
from dermtriage.core.logging_setup import setup_logging
from dermtriage.core.settings import Settings, get_settings
from dermtriage_worker.process import FAILED, STOPPED
from dermtriage_worker.upkeep.duties import Duties
from dermtriage_worker.upkeep.timer import Duty, Timer, daily, every
from dermtriage_worker.upkeep.watchdog import start_watchdog

END_RUNS_SECONDS = 5.0
"""The report of a run follows its end by no more than this and the time to write it."""

HANGS_AFTER = 90.0
"""Seconds that recovery may take: longer than the database lets a statement run, and than a
connection to it may be silent."""

STOP_SECONDS = 6.0
"""How long duties may go on after the signal to stop. What is not committed by then is rolled back,
and is done by the next process."""


def schedule(duties: Duties, settings: Settings) -> list[Duty]:
    """Return the duties with the times at which they are due."""
    nightly = (settings.invariants_at, settings.timezone)
    return [
        every(settings.recovery_seconds, "recover", duties.recover, hangs_after=HANGS_AFTER),
        every(settings.ageing_seconds, "age", duties.age),
        # Often rather than at its hour, so that a missed night is made up at once.
        every(settings.ageing_seconds, "plan-night", duties.plan_night),
        every(END_RUNS_SECONDS, "end-runs", duties.end_runs),
        daily(*nightly, "check-invariants", duties.check_invariants),
        daily(*nightly, "sweep", duties.sweep),
    ]


def main() -> int:
    """Run upkeep until it is told to stop; return its exit status."""
    try:
        settings = get_settings()
        setup_logging(settings.log_level)
        duties = Duties(settings)
    except DermtriageError as error:
        print(f"dermtriage upkeep: {error}", file=sys.stderr)  # noqa: T201 - nothing runs yet
        return FAILED
    told_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told_to_stop.set())
    timer = Timer(schedule(duties, settings))
    timer.start()
    start_watchdog(timer)
    told_to_stop.wait()
    timer.stop(STOP_SECONDS)
    return STOPPED

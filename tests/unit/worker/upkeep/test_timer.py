"""When duties are due, and what keeps them going."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dermtriage.core.errors import Unavailable
from dermtriage_worker.process import STALLED
from dermtriage_worker.upkeep.timer import Timer, daily, every, next_time

WAIT = 20.0


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-06-01 01:00", "2026-06-01 01:30"),
        ("2026-06-01 01:30", "2026-06-02 01:30"),
        ("2026-06-01 12:00", "2026-06-02 01:30"),
        # The clocks go forward in the night of 29 March 2026 and back in that of 25 October.
        ("2026-03-28 12:00", "2026-03-29 01:30"),
        ("2026-10-25 12:00", "2026-10-26 02:30"),
    ],
)
def test_a_time_of_day_is_that_of_the_zone(now: str, due: str) -> None:
    assert next_time("03:30", "Europe/Berlin", at(now)) == at(due)


def test_a_daily_duty_is_due_within_a_day_and_not_at_the_start() -> None:
    duty = daily("03:30", "UTC", "check", lambda: None)
    assert not duty.at_start
    assert 0 < duty.pause() <= 24 * 3600 + 60


def test_a_duty_is_done_at_the_start_and_again_whatever_happens() -> None:
    errors: list[Exception] = [Unavailable("It is down."), ValueError("a bug")]
    done = threading.Event()

    def do() -> None:
        if errors:
            raise errors.pop()
        done.set()

    timer = Timer([every(0.01, "fragile", do)])
    timer.start()
    assert done.wait(WAIT)
    assert timer.neglected() == []
    timer.stop(WAIT)


def test_a_long_duty_delays_no_other() -> None:
    go_on, done = threading.Event(), threading.Event()
    timer = Timer([every(3600, "long", lambda: assert_set(go_on)), every(3600, "short", done.set)])
    timer.start()
    assert done.wait(WAIT)
    go_on.set()
    timer.stop(WAIT)


def assert_set(event: threading.Event) -> None:
    assert event.wait(WAIT)


def test_a_duty_that_hangs_is_neglected() -> None:
    go_on = threading.Event()
    timer = Timer([every(3600, "hung", lambda: assert_set(go_on), hangs_after=0.05)])
    timer.start()
    wait_until(lambda: timer.neglected() == ["hung"])
    go_on.set()
    wait_until(lambda: timer.neglected() == [])
    timer.stop(WAIT)


def test_after_the_stop_no_duty_is_neglected() -> None:
    timer = Timer([every(3600, "short", lambda: None)])
    timer.start()
    timer.stop(WAIT)
    assert timer.neglected() == []


def test_a_process_whose_timer_dies_ends_itself_within_a_minute() -> None:
    code = (
        "import time;"
        "from dermtriage_worker.upkeep.timer import Timer, every;"
        "from dermtriage_worker.upkeep.watchdog import start_watchdog;"
        "timer = Timer([every(3600, 'dies', lambda: exec('raise SystemExit'))]);"
        "timer.start(); start_watchdog(timer); time.sleep(600)"
    )
    process = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert process.returncode == STALLED


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

"""When duties are due, and the threads that do them."""

import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from time import monotonic
from zoneinfo import ZoneInfo

from dermtriage.core.clock import utcnow
from dermtriage.core.errors import StoreMismatch, Unavailable

logger = logging.getLogger(__name__)

MARGIN = timedelta(minutes=1)
"""A clock that is set back by less than this does not make a time of day come twice."""


@dataclass(frozen=True, slots=True)
class Duty:
    """Something that upkeep does again and again.

    Attributes
    ----------
    pause
        Returns the seconds until it is due.
    at_start
        Whether it is done once as soon as upkeep starts, since it may be overdue.
    hangs_after
        Seconds; one that takes longer will never end.
    """

    name: str
    do: Callable[[], None]
    pause: Callable[[], float]
    at_start: bool
    hangs_after: float = math.inf


def every(
    seconds: float, name: str, do: Callable[[], None], *, hangs_after: float = math.inf
) -> Duty:
    """Return a duty that is due at the start, and then `seconds` after each end."""
    return Duty(name, do, lambda: seconds, at_start=True, hangs_after=hangs_after)


def daily(at: str, timezone: str, name: str, do: Callable[[], None]) -> Duty:
    """Return a duty that is due once a day at a local time, HH:MM."""

    def pause() -> float:
        now = utcnow()
        return (next_time(at, timezone, now + MARGIN) - now).total_seconds()

    return Duty(name, do, pause, at_start=False)


def next_time(at: str, timezone: str, now: datetime) -> datetime:
    """Return when the clocks of a time zone next show a time of day, in UTC.

    Parameters
    ----------
    at
        Local time, HH:MM.
    timezone
        IANA name of the time zone.
    now
        Aware.
    """
    zone = ZoneInfo(timezone)
    day = now.astimezone(zone).date()
    # Compared in UTC: a local hour may come twice, or never.
    due = datetime.combine(day, time.fromisoformat(at), tzinfo=zone).astimezone(UTC)
    if due <= now:
        day += timedelta(days=1)
        due = datetime.combine(day, time.fromisoformat(at), tzinfo=zone).astimezone(UTC)
    return due


class Timer:
    """Does each duty in a thread of its own, so that a long one delays no other."""

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._stopping = threading.Event()
        self._duties = duties
        self._began: dict[str, float] = {}
        self._threads = [
            threading.Thread(target=self._repeat, args=(duty,), name=duty.name, daemon=True)
            for duty in duties
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> None:
        """Begin no duty any more, and wait at most `timeout` seconds for those under way."""
        self._stopping.set()
        deadline = monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))

    def neglected(self) -> list[str]:
        """Return the names of the duties that hang, or whose threads have ended."""
        if self._stopping.is_set():
            return []
        now = monotonic()
        return [
            duty.name
            for duty, thread in zip(self._duties, self._threads, strict=True)
            if not thread.is_alive() or now - self._began.get(duty.name, now) > duty.hangs_after
        ]

    def _repeat(self, duty: Duty) -> None:
        if duty.at_start:
            self._do(duty)
        while not self._stopping.wait(duty.pause()):
            self._do(duty)

    def _do(self, duty: Duty) -> None:
        self._began[duty.name] = monotonic()
        try:
            duty.do()
        except Unavailable as error:
            # Servers come back by themselves; a store of another database needs a person.
            level = logging.ERROR if isinstance(error, StoreMismatch) else logging.WARNING
            logger.log(level, "duty postponed", extra={"duty": duty.name, "reason": str(error)})
        except Exception:  # one failure must not be the end of the duty
            logger.exception("duty failed", extra={"duty": duty.name})
        finally:
            del self._began[duty.name]

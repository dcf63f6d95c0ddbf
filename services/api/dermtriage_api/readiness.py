"""Whether database, store and queue answer, known at any moment without waiting for them.

Each check runs in a thread of its own, once at a time: after every request for the readiness, and
every few seconds without one. A request waits for the checks for a moment only; one that has not
ended then counts as its last result, or as unavailable if that is old. So a store that hangs is
reported without a load balancer's request hanging with it.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from dermtriage.core.errors import StoreMismatch, Unavailable
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.database.migrations import is_usable
from dermtriage.messaging.redis_client import check_redis
from dermtriage_api.schemas.health import Check
from dermtriage_api.services import Services

logger = logging.getLogger(__name__)

WAIT = 0.15
"""Seconds that a request waits for checks that are running."""

PERIOD = 5.0
"""Seconds after which the checks run without a request."""

VALID_FOR = 3 * PERIOD
"""Seconds for which the last result of a check counts while the next one has not ended."""

FIRST_WAIT = 10.0
"""Seconds that a request waits for the very first checks, which have no result before them."""


class ReadinessChecks:
    """The checks of one process and their last results."""

    def __init__(self, services: Services) -> None:
        limiter = services.threads.checks
        self._checks = {
            "database": _RepeatedCheck(lambda: _database(services), limiter),
            "store": _RepeatedCheck(lambda: _store(services), limiter),
            "queue": _RepeatedCheck(lambda: _queue(services), limiter),
        }
        self._logged: dict[str, Check] = {}

    async def results(self) -> dict[str, Check]:
        """Return the result of each check, at most `WAIT` seconds from now."""
        results = await asyncio.gather(*(check.result() for check in self._checks.values()))
        current = dict(zip(self._checks, results, strict=True))
        if current != self._logged:
            self._logged = current
            logger.info(
                "readiness changed",
                extra={
                    "database": current["database"],
                    "store": current["store"],
                    "queue": current["queue"],
                },
            )
        return current

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the checks every few seconds while the block runs."""
        task = asyncio.create_task(self._repeat())
        try:
            yield
        finally:
            task.cancel()

    async def _repeat(self) -> None:
        while True:
            await self.results()
            await asyncio.sleep(PERIOD)


class _RepeatedCheck:
    def __init__(self, check: Callable[[], Check], limiter: CapacityLimiter) -> None:
        self._check = check
        self._limiter = limiter
        self._running: asyncio.Task[None] | None = None
        self._last: Check | None = None
        self._ended = 0.0

    async def result(self) -> Check:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        wait = WAIT if self._last else FIRST_WAIT
        done, _ = await asyncio.wait({self._running}, timeout=wait)
        if self._last is None or (not done and time.monotonic() - self._ended > VALID_FOR):
            return "unavailable"
        return self._last

    async def _run(self) -> None:
        try:
            # A process that ends does not wait for a check that hangs.
            self._last = await run_sync(self._check, abandon_on_cancel=True, limiter=self._limiter)
        except Exception:
            self._last = "unavailable"
            logger.exception("check failed")
        self._ended = time.monotonic()


def _database(services: Services) -> Check:
    try:
        with outage_as_unavailable():
            engine = services.databases.health.engine
            return "ok" if is_usable(engine) else "outdated"
    except Unavailable:
        return "unavailable"


def _store(services: Services) -> Check:
    try:
        services.store.check()
    except StoreMismatch as error:
        logger.error("store mismatch", extra={"reason": str(error)})
        return "mismatch"
    except Unavailable as error:
        # The database says which store is its own.
        return "unavailable" if error.code == "store_unavailable" else "unknown"
    return "ok"


def _queue(services: Services) -> Check:
    try:
        check_redis(services.settings)
    except Unavailable:
        return "unavailable"
    return "ok"

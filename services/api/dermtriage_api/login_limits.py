"""How logins take turns, so that strangers with wrong passwords keep no clinician out.

Verifying a password uses much memory and time on purpose, so few run at once. Half of their slots
are kept for familiar logins: names that have logged in before from the same address. After many
failures, logins with that name, or from that address, go on one at a time and slowly; nobody is
locked out, and a familiar login is slowed only by failures with its name from its address.

All of this is counted in one process and forgotten when it ends: with several processes behind a
proxy each has its own count, and after a restart everybody is unfamiliar at first.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

from anyio import CapacityLimiter, fail_after

from dermtriage.core.errors import NotAuthenticated, Unavailable
from dermtriage_api.http.problems import RETRY_AFTER, HTTPProblem

UNFAMILIAR_SLOTS = 2
FAMILIAR_SLOTS = 2
MAX_CONCURRENT_LOGINS = UNFAMILIAR_SLOTS + FAMILIAR_SLOTS

SLOT_WAIT = 5.0
"""Seconds that a login waits for a slot."""

FAILURES_PER_NAME = 10
FAILURES_PER_ADDRESS = 30
FAILURES_FOR = 60.0
"""Seconds for which a failure counts."""

INTERVAL = 0.5
"""Seconds between two logins that take turns."""

MAX_WAITING = 32
"""Logins that wait for their turn; further ones are refused."""

MAX_REMEMBERED = 10_000
"""Names and addresses; those used longest ago are forgotten first."""


K = TypeVar("K")
V = TypeVar("V")


class LoginLimits:
    """The logins of one process. Used on the event loop only, so nothing is locked.

    Parameters
    ----------
    sleep
        Waits for a number of seconds.
    """

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._unfamiliar = CapacityLimiter(UNFAMILIAR_SLOTS)
        self._familiar = CapacityLimiter(FAMILIAR_SLOTS)
        self._turns: OrderedDict[Hashable, _Turns] = OrderedDict()
        self._logged_in: OrderedDict[tuple[str, str], None] = OrderedDict()

    @asynccontextmanager
    async def attempt(self, name: str, address: str) -> AsyncIterator[None]:
        """Run one login in the block; `NotAuthenticated` raised in it counts as a failure.

        Raises
        ------
        HTTPProblem
            If too many logins wait because many have failed.
        Unavailable
            If no slot became free in time.
        """
        pair = (name, address)
        familiar = pair in self._logged_in
        turns = (
            [self._turns_of(pair, FAILURES_PER_NAME)]
            if familiar
            else [
                self._turns_of(("name", name), FAILURES_PER_NAME),
                self._turns_of(("address", address), FAILURES_PER_ADDRESS),
            ]
        )
        for one in turns:
            await one.wait(self._sleep)
        slots = self._familiar if familiar else self._unfamiliar
        await _acquire(slots)
        try:
            yield
        except NotAuthenticated:
            for one in turns:
                one.count_failure()
            raise
        finally:
            slots.release()
        _remember(self._logged_in, pair, None)

    def _turns_of(self, key: Hashable, failures: int) -> "_Turns":
        turns = self._turns.get(key) or _Turns(failures)
        _remember(self._turns, key, turns)
        return turns


class _Turns:
    """The recent failures of a name or an address, and the logins that wait because of them."""

    def __init__(self, most: int) -> None:
        self._failed: deque[float] = deque(maxlen=most)
        self._turn = asyncio.Lock()
        self._waiting = 0

    def count_failure(self) -> None:
        self._failed.append(time.monotonic())

    async def wait(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Return at once, or in turn if as many logins as are allowed have failed lately."""
        if not self._has_failed_often():
            return
        if self._waiting >= MAX_WAITING:
            raise HTTPProblem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_logins",
                "Too many logins with this name or from this address have failed.",
                remedy="Wait a minute, then log in again.",
                headers={"Retry-After": RETRY_AFTER},
            )
        self._waiting += 1
        try:
            async with self._turn:
                await sleep(INTERVAL)
        finally:
            self._waiting -= 1

    def _has_failed_often(self) -> bool:
        failed = self._failed
        return len(failed) == failed.maxlen and time.monotonic() - failed[0] < FAILURES_FOR


async def _acquire(slots: CapacityLimiter) -> None:
    try:
        with fail_after(SLOT_WAIT):
            await slots.acquire()
    except TimeoutError:
        raise Unavailable("Too many logins are in progress.", code="busy") from None


def _remember(remembered: OrderedDict[K, V], key: K, value: V) -> None:
    remembered[key] = value
    remembered.move_to_end(key)
    if len(remembered) > MAX_REMEMBERED:
        remembered.popitem(last=False)

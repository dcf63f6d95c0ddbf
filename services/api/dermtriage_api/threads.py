"""How many threads each kind of request may use, so that no kind waits for another.

Photographs take seconds to check, a store may take ten to answer, and passwords are slow to verify
on purpose. With threads of their own they leave the worklist and the health checks alone.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Literal, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

PICTURES = 4
"""Requests that read renditions and heat maps from the store at the same time."""

ACCESS = 3
"""Requests whose sender is being authenticated at the same time; it takes one short query."""

CHECKS = 3
"""Database, store and queue, each of which is checked once at a time."""

T = TypeVar("T")
Kind = Literal["uploads", "pictures"]


@dataclass(frozen=True, slots=True)
class Threads:
    """The threads of each kind; requests of any other kind share FastAPI's own."""

    uploads: CapacityLimiter
    pictures: CapacityLimiter
    access: CapacityLimiter
    logins: CapacityLimiter
    metrics: CapacityLimiter
    checks: CapacityLimiter

    @classmethod
    def new(cls, *, uploads: int, logins: int) -> "Threads":
        """Return the limits, with threads for so many uploads and logins at once."""
        return cls(
            uploads=CapacityLimiter(uploads),
            pictures=CapacityLimiter(PICTURES),
            access=CapacityLimiter(ACCESS),
            logins=CapacityLimiter(logins),
            metrics=CapacityLimiter(1),
            checks=CapacityLimiter(CHECKS),
        )


def uses_threads(kind: Kind) -> Callable[[Callable[..., T]], Callable[..., Awaitable[T]]]:
    """Run a route in the threads of this kind instead of FastAPI's own.

    It stands below ``@router.get`` and its like, and the route has a parameter `services`.
    """

    def decorate(route: Callable[..., T]) -> Callable[..., Awaitable[T]]:
        @wraps(route)
        async def run(**arguments: Any) -> T:
            limiter: CapacityLimiter = getattr(arguments["services"].threads, kind)
            return await run_sync(partial(route, **arguments), limiter=limiter)

        return run

    return decorate

"""When a request is tried again."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request is tried, and the pauses between. Times are in seconds."""

    attempts: int = 8
    first: float = 0.5
    longest: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Return the pause after an attempt, counted from 0.

        The pause doubles with each attempt. Up to half of it is random, so that clinics that lost
        the same server do not return at the same moment. `retry_after` is its minimum.
        """
        backoff = min(self.longest, self.first * 2.0**attempt)
        return max(backoff * (0.5 + 0.5 * self.jitter()), retry_after or 0.0)


def parse_retry_after(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After header: a number or a date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(retry_after))
    with suppress(ValueError):
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    return None

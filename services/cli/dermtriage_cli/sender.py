"""A clinic's way of sending: the same referral as often as it takes, and once in effect."""

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from dermtriage.core.enums import ImageType
from dermtriage.core.errors import DermtriageError, NotAuthenticated
from dermtriage_cli.client import refusal, unreachable

RETRIED = frozenset({httpx.codes.REQUEST_TIMEOUT, httpx.codes.CONFLICT, 429})
"""Besides every 5xx: slow body, the same referral still being handled, too many requests."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph of a referral; it is read when it is sent."""

    read: Callable[[], bytes]
    image_type: ImageType = ImageType.DERMOSCOPIC


@dataclass(frozen=True, slots=True)
class Referral:
    """One case to be sent."""

    name: str
    """What the clinic calls it; it stays on this machine."""
    photographs: tuple[Photograph, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the case, without ``images``."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one referral: a receipt, or an error."""

    referral: Referral
    receipt: dict[str, Any] | None = None
    error: DermtriageError | None = None


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and after what time a request is repeated. Times are in seconds."""

    attempts: int = 8
    first: float = 0.5
    longest: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Return how long to wait after the attempt of this number, counted from 0.

        The time doubles. Up to half of it is left to chance, so that clinics that lost the same
        server do not come back at the same moment. The server may ask for more.
        """
        backoff = min(self.longest, self.first * 2.0**attempt)
        return max(backoff * (0.5 + 0.5 * self.jitter()), retry_after or 0.0)


def idempotency_key(metadata: Mapping[str, Any]) -> str:
    """Return the key of a referral: its content, images by digest, and nothing else.

    Sent again, tomorrow or from another machine, it is the same case; with one field changed it
    is another referral.
    """
    canonical = json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def send_case(
    client: httpx.Client, referral: Referral, retries: Retries | None = None
) -> dict[str, Any]:
    """Send one referral and return its receipt.

    Raises
    ------
    DermtriageError
        If the server refuses it, or does not take it in as many attempts.
    OSError
        If a photograph cannot be read.
    """
    retries = retries or Retries()
    files = [photograph.read() for photograph in referral.photographs]
    metadata = {
        **referral.metadata,
        "images": [
            {
                "image_type": photograph.image_type.value,
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            for photograph, data in zip(referral.photographs, files, strict=True)
        ],
    }
    # What the files are called may name a patient, so it is not sent.
    parts = [
        ("metadata", (None, json.dumps(metadata).encode(), "application/json")),
        *(
            ("images", (f"image-{position}", data, "application/octet-stream"))
            for position, data in enumerate(files)
        ),
    ]
    headers = {"Idempotency-Key": idempotency_key(metadata)}
    for attempt in range(retries.attempts):
        retry_after: float | None = None
        try:
            response = client.post("/v1/cases", files=parts, headers=headers)
        except httpx.TransportError as error:
            failure: DermtriageError = unreachable(client, error)
            failure.__cause__ = error
        else:
            if response.is_success:
                receipt: dict[str, Any] = response.json()
                return receipt
            failure = refusal(response)
            if response.status_code not in RETRIED and not response.is_server_error:
                break
            retry_after = _seconds(response.headers.get("Retry-After"))
        if attempt + 1 < retries.attempts:
            retries.sleep(retries.pause(attempt, retry_after))
    raise failure


def send_all(
    client: httpx.Client,
    referrals: Iterable[Referral],
    *,
    concurrency: int = 4,
    retries: Retries | None = None,
) -> Iterator[Sent]:
    """Send referrals side by side and yield each as it is done; one that fails stops no other.

    Referrals are taken from the iterable as they are needed.

    Raises
    ------
    NotAuthenticated
        If the server does not know the key: then nothing can be sent.
    """

    def send(referral: Referral) -> Sent:
        try:
            return Sent(referral, receipt=send_case(client, referral, retries))
        except NotAuthenticated:
            raise
        except DermtriageError as error:
            return Sent(referral, error=error)
        except OSError as error:
            return Sent(
                referral,
                error=DermtriageError(
                    f"The photograph cannot be read: {error.strerror}.", remedy="Check the file."
                ),
            )

    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="sender")
    running: set[Future[Sent]] = set()
    try:
        for referral in referrals:
            running.add(pool.submit(send, referral))
            if len(running) == concurrency:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    finally:
        # On an error or Ctrl-C, what has not begun is not begun.
        pool.shutdown(wait=False, cancel_futures=True)


def _seconds(retry_after: str | None) -> float | None:
    """Read the header Retry-After: a number of seconds or a date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(retry_after))
    with suppress(ValueError):
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    return None

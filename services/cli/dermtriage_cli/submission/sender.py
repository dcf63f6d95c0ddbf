"""Send a referral until the server has it: repeated attempts make one case."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import httpx

from dermtriage.core.errors import DermtriageError, NotAuthenticated
from dermtriage_cli.api_client import refusal, unreachable
from dermtriage_cli.submission.referral import Referral, idempotency_key
from dermtriage_cli.submission.retries import Retries, parse_retry_after

RETRIED = frozenset({httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS})
"""Tried again, like every 5xx."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of one referral: a receipt or an error."""

    referral: Referral
    receipt: dict[str, Any] | None = None
    error: DermtriageError | None = None


def send_case(
    client: httpx.Client, referral: Referral, retries: Retries | None = None
) -> dict[str, Any]:
    """Send one referral and return its receipt.

    Raises
    ------
    DermtriageError
        If the server refuses it, or no attempt succeeds.
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
    # File names may contain a patient's name, so they are not sent.
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
            retry_after = parse_retry_after(response.headers.get("Retry-After"))
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
    """Send referrals concurrently and yield the results; a failure does not stop the others.

    Referrals are taken from the iterable as they are needed.

    Raises
    ------
    NotAuthenticated
        If the server does not accept the API key: then nothing can be sent.
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
        # On an error or Ctrl-C, no further case is sent.
        pool.shutdown(wait=False, cancel_futures=True)

"""A body must arrive at a minimum rate, after a time in which it may arrive at any."""

import asyncio
from typing import Any

import anyio
import pytest

from dermtriage_api.http.problems import HTTPProblem
from dermtriage_api.middleware.request_body import MIN_RATE, RequestBody

GRACE = 0.05


def read(received: int) -> bool:
    """Receive so many bytes and then wait for more; whether the body is still waited for."""

    async def run() -> bool:
        messages = [{"type": "http.request", "body": bytes(received), "more_body": True}]

        async def receive() -> Any:
            if not messages:
                await asyncio.Event().wait()
            return messages.pop()

        scope = {"type": "http", "headers": [(b"content-length", b"1000000")]}
        body = RequestBody(scope, receive, 2_000_000, timeout=60, grace=GRACE)
        await body.receive()
        with anyio.move_on_after(4 * GRACE):
            await body.receive()
        return True

    return asyncio.run(run())


def test_a_body_that_dribbles_is_given_up_after_the_grace() -> None:
    with pytest.raises(HTTPProblem) as caught:
        read(10)
    assert (caught.value.status_code, caught.value.code) == (408, "body_too_slow")


def test_a_body_that_has_come_fast_enough_may_pause() -> None:
    assert read(int(MIN_RATE))

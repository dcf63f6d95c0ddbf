"""The body of one request while it arrives, and the response that may come before its end."""

import time
from contextlib import suppress
from http import HTTPStatus

import anyio
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from dermtriage_api.http.problems import HTTPProblem
from dermtriage_api.middleware.upload_room import HeldBytes

GRACE = 30.0
"""Seconds for which a body may arrive at any rate, as over a line that breaks off now and then."""

MIN_RATE = 1024.0
"""Bytes per second that must have arrived on average since then: the slowest mobile lines carry
more."""


LINGER_PAUSE = 3.0
"""Seconds without a byte after which a refused body is no longer read."""


class RequestBody:
    """The body of one request, with limits on its size, its duration and its rate.

    Parameters
    ----------
    limit
        The most bytes.
    timeout
        Seconds in which it must have arrived.
    grace
        Seconds before `MIN_RATE` counts.
    """

    def __init__(
        self, scope: Scope, receive: Receive, limit: int, timeout: float, grace: float
    ) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length")
        self.declared = int(length) if length is not None else None
        self.limit = limit
        self.complete = not self.declared and "transfer-encoding" not in headers
        self.held: HeldBytes | None = None
        """Counts the bytes of an upload; it ends the body if there is no room for them."""
        self._receive = receive
        self._timeout = timeout
        self._grace = grace
        self._began = time.monotonic()
        self._received = 0

    def check_declared(self) -> None:
        """Raise if the Content-Length exceeds the limit."""
        if self.declared is not None and self.declared > self.limit:
            raise self._too_large()

    async def receive(self) -> Message:
        """Return the next message: ASGI's `receive`."""
        if self.complete:
            return await self._receive()
        try:
            with anyio.fail_after(max(0.0, self._deadline() - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise self._too_slow() from None
        size = len(message.get("body", b""))
        self._received += size
        self.complete = not message.get("more_body", False)
        if self._received > self.limit:
            raise self._too_large()
        if self.held is not None:
            self.held.add(size)
        return message

    async def drain(self, seconds: float, pause: float) -> None:
        """Read the rest of the body and throw it away.

        Parameters
        ----------
        seconds
            For at most this long,
        pause
            or until nothing has come for this long.
        """
        if self.held is not None:
            self.held.release()
        with anyio.move_on_after(seconds), suppress(TimeoutError):
            while not self.complete:
                with anyio.fail_after(pause):
                    message = await self._receive()
                self.complete = not message.get("more_body", False)

    def _deadline(self) -> float:
        allowed = self._grace + self._received / MIN_RATE
        return self._began + min(allowed, self._timeout)

    def _too_slow(self) -> HTTPProblem:
        elapsed = time.monotonic() - self._began
        return HTTPProblem(
            HTTPStatus.REQUEST_TIMEOUT,
            "body_too_slow",
            f"Of the request's body, only {self._received} bytes arrived in {elapsed:.0f} seconds.",
            remedy="Send fewer or smaller photographs per case, or use a faster connection.",
        )

    def _too_large(self) -> HTTPProblem:
        return HTTPProblem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "request_too_large",
            f"The request is larger than {self.limit} bytes.",
            remedy="Send fewer or smaller photographs; JPEG is smaller than PNG.",
        )


class Response:
    """The response to one request; it closes the connection if the body was not read completely.

    Attributes
    ----------
    linger
        Seconds for which the rest of the body is read and thrown away: a client that is still
        sending would otherwise meet a reset connection and not read the response.
    """

    def __init__(self, send: Send, body: RequestBody, linger: float) -> None:
        self._send = send
        self._body = body
        self.linger = linger

    async def send(self, message: Message) -> None:
        """Pass one message on: ASGI's `send`."""
        if not self._body.complete:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            elif not message.get("more_body", False):
                await self._send({**message, "more_body": True})
                await self._body.drain(self.linger, LINGER_PAUSE)
                message = {"type": "http.response.body", "body": b""}
        await self._send(message)

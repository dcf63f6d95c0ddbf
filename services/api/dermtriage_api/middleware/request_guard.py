"""Authentication, and limits on the size and duration of request bodies.

Runs before anything is parsed. The body of an unauthenticated request is never read, and no
database connection is held while a body arrives.
"""

import time
from collections.abc import Callable
from http import HTTPStatus

import anyio
from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermtriage_api.auth import Principal, authenticate
from dermtriage_api.http.error_responses import EXPECTED_ERRORS, error_response
from dermtriage_api.http.problems import RETRY_AFTER, HTTPProblem
from dermtriage_api.services import Services

MAX_JSON_BYTES = 64 * 1024
"""The largest body of a request that is not an upload."""

FULL_UPLOADS_AT_ONCE = 16
"""How many uploads of the largest size may arrive at the same time. This bounds the memory for
bodies; smaller uploads take less of it, so more of them fit."""

LINGER = 2.0
"""Seconds for which the rest of a refused body is read and thrown away: a client that is still
sending would otherwise meet a reset connection and not read the response."""

_UPLOAD = ("POST", "/v1/cases")
_LOGIN = ("POST", "/v1/sessions")


class RequestGuard:
    """ASGI middleware that authenticates every request under ``/v1`` and bounds every body.

    Parameters
    ----------
    authenticate
        Returns the sender from the Authorization header, or raises; runs in a thread.
    linger
        Seconds for which a refused body is still read and thrown away.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticate: Callable[[Services, str | None], Principal] = authenticate,
        linger: float = LINGER,
    ) -> None:
        self._app = app
        self._authenticate = authenticate
        self._linger = linger
        self._reserved = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a problem document."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        services: Services = scope["app"].state.services
        request = (scope["method"], scope["path"])
        limit = services.settings.max_request_bytes if request == _UPLOAD else MAX_JSON_BYTES
        body = _Body(scope, receive, limit, services.settings.body_timeout)
        response = _Response(send, body, self._linger)
        reserved = body.max_size if request == _UPLOAD else 0
        try:
            if scope["path"].startswith("/v1/") and request != _LOGIN:
                authorization = Headers(scope=scope).get("authorization")
                principal = await run_sync(self._authenticate, services, authorization)
                scope.setdefault("state", {})["principal"] = principal
            body.check_declared()
            self._check_memory(reserved, limit)
        except EXPECTED_ERRORS as error:
            await error_response(error)(scope, body.receive, response.send)
            return
        self._reserved += reserved
        try:
            await self._app(scope, body.receive, response.send)
        finally:
            self._reserved -= reserved

    def _check_memory(self, size: int, limit: int) -> None:
        if size and self._reserved + size > FULL_UPLOADS_AT_ONCE * limit:
            raise HTTPProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                "Too many uploads are arriving at the moment.",
                remedy="Send the same request again in a few seconds.",
                headers={"Retry-After": RETRY_AFTER},
            )


class _Body:
    """The body of one request, with a limit on its size and a deadline."""

    def __init__(self, scope: Scope, receive: Receive, limit: int, timeout: float) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length")
        self.declared = int(length) if length is not None else None
        self.limit = limit
        self.complete = not self.declared and "transfer-encoding" not in headers
        self._receive = receive
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._received = 0

    @property
    def max_size(self) -> int:
        """The largest size that the body can have, in bytes."""
        return self.limit if self.declared is None else self.declared

    def check_declared(self) -> None:
        """Raise if the Content-Length exceeds the limit."""
        if self.declared is not None and self.declared > self.limit:
            raise self._too_large()

    async def receive(self) -> Message:
        """Return the next message: ASGI's `receive`."""
        if self.complete:
            return await self._receive()
        try:
            with anyio.fail_after(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise HTTPProblem(
                HTTPStatus.REQUEST_TIMEOUT,
                "body_too_slow",
                f"The request's body did not arrive within {self._timeout:g} seconds.",
                remedy="Send fewer or smaller photographs per case, or use a faster connection.",
            ) from None
        self._received += len(message.get("body", b""))
        if self._received > self.limit:
            raise self._too_large()
        self.complete = not message.get("more_body", False)
        return message

    async def drain(self, seconds: float) -> None:
        """Read the rest of the body and throw it away, for at most this long."""
        with anyio.move_on_after(seconds):
            while not self.complete:
                self.complete = not (await self._receive()).get("more_body", False)

    def _too_large(self) -> HTTPProblem:
        return HTTPProblem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "request_too_large",
            f"The request is larger than {self.limit} bytes.",
            remedy="Send fewer or smaller photographs; JPEG is smaller than PNG.",
        )


class _Response:
    """The response to one request; it closes the connection if the body was not read completely."""

    def __init__(self, send: Send, body: _Body, linger: float) -> None:
        self._send = send
        self._body = body
        self._linger = linger

    async def send(self, message: Message) -> None:
        """Pass one message on: ASGI's `send`."""
        if not self._body.complete:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            elif not message.get("more_body", False):
                await self._send({**message, "more_body": True})
                await self._body.drain(self._linger)
                message = {"type": "http.response.body", "body": b""}
        await self._send(message)

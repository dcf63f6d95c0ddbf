"""The gate: who asks, how much they send, and how long that takes.

It stands before anything is parsed. A stranger's body is never read, and no database connection
is held while a body arrives.
"""

import time
from collections.abc import Callable
from http import HTTPStatus

import anyio
from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermtriage_api.auth import Principal, authenticate
from dermtriage_api.http.problems import FORESEEN, RETRY_AFTER, Refusal, problem_response
from dermtriage_api.services import Services

MAX_JSON_BYTES = 64 * 1024
"""The largest body of every request that carries no photographs."""

FULL_UPLOADS_AT_ONCE = 16
"""Uploads of the greatest size that may arrive at the same time: this bounds the memory that
bodies take, and lets many more of the usual size in."""

LINGER = 2.0
"""Seconds for which a refused body is read on and thrown away, so that its sender, who may still
be writing, gets to read why."""

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
        self._arriving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        services: Services = scope["app"].state.services
        request = (scope["method"], scope["path"])
        limit = services.settings.max_request_bytes if request == _UPLOAD else MAX_JSON_BYTES
        body = _Body(scope, receive, limit, services.settings.body_timeout)
        answer = _Answer(send, body, self._linger)
        room = body.at_most if request == _UPLOAD else 0
        try:
            if scope["path"].startswith("/v1/") and request != _LOGIN:
                authorization = Headers(scope=scope).get("authorization")
                principal = await run_sync(self._authenticate, services, authorization)
                scope.setdefault("state", {})["principal"] = principal
            body.check_declared()
            self._check_room(room, limit)
        except FORESEEN as error:
            await problem_response(error)(scope, body.receive, answer.send)
            return
        self._arriving += room
        try:
            await self._app(scope, body.receive, answer.send)
        finally:
            self._arriving -= room

    def _check_room(self, room: int, limit: int) -> None:
        if room and self._arriving + room > FULL_UPLOADS_AT_ONCE * limit:
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                "Too many uploads are arriving at this moment.",
                remedy="Send the same request again in a few seconds.",
                headers={"Retry-After": RETRY_AFTER},
            )


class _Body:
    """The body of one request as it arrives: counted, and given a deadline."""

    def __init__(self, scope: Scope, receive: Receive, limit: int, seconds: float) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length")
        self.declared = int(length) if length is not None else None
        self.limit = limit
        self.complete = not self.declared and "transfer-encoding" not in headers
        self._receive = receive
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._received = 0

    @property
    def at_most(self) -> int:
        """How many bytes may come."""
        return self.limit if self.declared is None else self.declared

    def check_declared(self) -> None:
        """Refuse what says by itself that it is too large."""
        if self.declared is not None and self.declared > self.limit:
            raise self._too_large()

    async def receive(self) -> Message:
        """Return the next piece, as ASGI asks for it."""
        if self.complete:
            return await self._receive()
        try:
            with anyio.fail_after(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise Refusal(
                HTTPStatus.REQUEST_TIMEOUT,
                "body_too_slow",
                f"The request's body did not arrive within {self._seconds:g} seconds.",
                remedy="Send fewer or smaller photographs a case, or try over a better line.",
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

    def _too_large(self) -> Refusal:
        return Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "request_too_large",
            f"The request is larger than {self.limit} bytes.",
            remedy="Send fewer or smaller photographs; JPEG is smaller than PNG.",
        )


class _Answer:
    """The answer to one request, which ends the connection if the body was not read to its end."""

    def __init__(self, send: Send, body: _Body, linger: float) -> None:
        self._send = send
        self._body = body
        self._linger = linger

    async def send(self, message: Message) -> None:
        """Pass one message on, as ASGI sends it."""
        if not self._body.complete:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            elif not message.get("more_body", False):
                await self._send({**message, "more_body": True})
                await self._body.drain(self._linger)
                message = {"type": "http.response.body", "body": b""}
        await self._send(message)

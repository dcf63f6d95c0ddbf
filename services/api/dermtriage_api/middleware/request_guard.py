"""Authentication, and limits on the size and duration of request bodies.

Runs before anything is parsed. The body of an unauthenticated request is never read, and no
database connection is held while a body arrives.
"""

from collections.abc import Callable
from http import HTTPStatus

from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from dermtriage_api.auth import Principal, authenticate
from dermtriage_api.client_address import client_address
from dermtriage_api.http.error_responses import EXPECTED_ERRORS, error_response
from dermtriage_api.http.problems import HTTPProblem
from dermtriage_api.http.route_table import route_of
from dermtriage_api.middleware.request_body import GRACE, RequestBody, Response
from dermtriage_api.middleware.upload_room import HeldBytes, UploadRoom
from dermtriage_api.services import Services

MAX_JSON_BYTES = 64 * 1024
"""The largest body of a request that is not an upload."""

LINGER = 2.0
"""Seconds for which the rest of a stranger's body is read after the response."""

SENDER_LINGER = 120.0
"""Seconds for which the rest of an authenticated sender's body is read after the response: many
HTTP libraries read it only after they have sent all, over a slow line."""

_UPLOAD = ("POST", "/v1/cases")
_LOGIN = ("POST", "/v1/sessions")


class RequestGuard:
    """ASGI middleware that authenticates every request under ``/v1`` and bounds every body.

    Parameters
    ----------
    authenticate
        Returns the sender from the Authorization header, or raises; runs in a thread.
    linger, sender_linger
        Seconds for which a refused body of a stranger, or of an authenticated sender, is still
        read and thrown away.
    grace
        Seconds for which a body may arrive at any rate.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticate: Callable[[Services, str | None], Principal] = authenticate,
        linger: float = LINGER,
        sender_linger: float = SENDER_LINGER,
        grace: float = GRACE,
    ) -> None:
        self._app = app
        self._authenticate = authenticate
        self._linger = linger
        self._sender_linger = sender_linger
        self._grace = grace
        self._room: UploadRoom | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a problem document."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        services: Services = scope["app"].state.services
        settings = services.settings
        request = (scope["method"], scope["path"])
        limit = settings.max_request_bytes if request == _UPLOAD else MAX_JSON_BYTES
        body = RequestBody(scope, receive, limit, settings.body_timeout, self._grace)
        response = Response(send, body, self._linger)
        try:
            _refuse_trace(scope)
            if scope["path"].startswith("/v1/") and request != _LOGIN:
                authorization = Headers(scope=scope).get("authorization")
                principal = await run_sync(
                    self._authenticate, services, authorization, limiter=services.threads.access
                )
                scope.setdefault("state", {})["principal"] = principal
                response.linger = self._sender_linger
            body.check_declared()
            if request == _UPLOAD:
                body.held = self._enter_room(scope, body)
        except EXPECTED_ERRORS as error:
            await error_response(error)(scope, body.receive, response.send)
            return
        try:
            await self._app(scope, body.receive, response.send)
        finally:
            if body.held is not None:
                body.held.release()

    def _enter_room(self, scope: Scope, body: RequestBody) -> HeldBytes:
        if self._room is None:
            self._room = UploadRoom(body.limit)
        principal: Principal = scope["state"]["principal"]
        return self._room.enter(principal.id, client_address(scope), body.declared or 0)


def _refuse_trace(scope: Scope) -> None:
    # TRACE would show a sender its own headers, its key among them; no route answers it.
    if scope["method"] == "TRACE":
        found = route_of(scope["app"], scope["path"])
        raise HTTPProblem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This address does not support this method.",
            headers={"Allow": ", ".join(found.methods if found else ())},
        )

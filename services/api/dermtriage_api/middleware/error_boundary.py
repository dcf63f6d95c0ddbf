"""What holds for every answer: safe headers, a count, and silence about our own errors."""

import logging
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermtriage.core.ids import new_id
from dermtriage.core.logging_setup import trace
from dermtriage_api.http.problems import unexpected
from dermtriage_api.metrics import Metrics

logger = logging.getLogger(__name__)

_HEADERS = {
    # Answers hold patient data, and errors would outlive their cause. The few that a client may
    # keep say so themselves.
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ErrorBoundary:
    """The outermost ASGI middleware."""

    def __init__(self, app: ASGIApp, telemetry: Metrics) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens further in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_safely)
        except Exception as error:  # whatever it is, the server must go on and say nothing of it
            instance = str(new_id())
            logger.error(
                "request failed", extra={"instance": instance, "error": list(trace(error))}
            )
            if status:
                raise
            await unexpected(f"urn:uuid:{instance}")(scope, receive, send_safely)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._telemetry.count(scope["method"], route, status, time.perf_counter() - began)

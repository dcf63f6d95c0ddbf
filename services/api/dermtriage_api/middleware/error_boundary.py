"""What every response has: safe headers, a count in the metrics, no details of server faults."""

import logging
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermtriage.core.ids import new_id
from dermtriage.core.logging_setup import trace
from dermtriage_api.http.error_responses import internal_error_response
from dermtriage_api.http.route_table import route_of
from dermtriage_api.http.safe_headers import SAFE_HEADERS
from dermtriage_api.metrics import Metrics

logger = logging.getLogger(__name__)


class ErrorBoundary:
    """The outermost ASGI middleware.

    Parameters
    ----------
    metrics
        Counts every request.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever the application inside raises."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # logged here, and hidden from the client
            instance = str(new_id())
            logger.error(
                "request failed", extra={"instance": instance, "error": list(trace(error))}
            )
            if status:
                raise
            await internal_error_response(f"urn:uuid:{instance}")(scope, receive, send_with_headers)
        finally:
            self._metrics.count_request(
                scope["method"], _route_path(scope), status, time.perf_counter() - began
            )


def _route_path(scope: Scope) -> str:
    """Return the template of the request's path, also if it was refused before it was routed."""
    if "route" not in scope and "app" in scope:
        found = route_of(scope["app"], scope["path"])
        return found.path if found else "other"
    return getattr(scope.get("route"), "path", "other")

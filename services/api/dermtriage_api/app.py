"""The application: run it with ``uvicorn --factory dermtriage_api.app:create_app``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version

from anyio.to_thread import current_default_thread_limiter, run_sync
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dermtriage.core.logging_setup import setup_logging
from dermtriage.core.settings import Settings, get_settings
from dermtriage_api.api_docs.openapi import openapi_document
from dermtriage_api.api_docs.reference import add_reference
from dermtriage_api.databases import reading_connections
from dermtriage_api.http.error_responses import EXPECTED_ERRORS, error_response
from dermtriage_api.http.route_table import route_of
from dermtriage_api.metrics import Metrics
from dermtriage_api.middleware.error_boundary import ErrorBoundary
from dermtriage_api.middleware.request_guard import RequestGuard
from dermtriage_api.readiness import ReadinessChecks
from dermtriage_api.routes import (
    cases,
    claims,
    decisions,
    health,
    images,
    metrics,
    sessions,
    worklist,
)
from dermtriage_api.services import Services

_DESCRIPTION = """
Clinics send cases with their photographs and read the outcomes. Clinicians read a worklist, the
most urgent case first, and decide. A case is closed only by a clinician's decision.

Every error is a problem document (RFC 9457): programs act on the stable `code`; `remedy` says what
to do.
"""

_TAGS = [
    {"name": "cases", "description": "Clinics send cases and read their outcomes."},
    {"name": "review", "description": "Clinicians read the worklist, claim cases and decide."},
    {"name": "sessions", "description": "Login and logout of clinicians."},
    {
        "name": "operation",
        "description": "For load balancers and monitoring. Holds no patient data.",
    },
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application.

    Parameters
    ----------
    settings
        By default they are read from the environment, and logging is set up for the process.

    Raises
    ------
    ConfigurationError
        If a setting is not valid.
    """
    if settings is None:
        settings = get_settings()
        setup_logging(settings.log_level)
    app_settings = settings
    process_metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = Services.open(app_settings)
        app.state.services = services
        process_metrics.add_system_gauges(services)
        # As many threads as database connections, so that no thread waits for a connection. What
        # else takes long has threads of its own.
        current_default_thread_limiter().total_tokens = reading_connections(app_settings)
        app.state.readiness = ReadinessChecks(services)
        try:
            async with app.state.readiness.running():
                yield
        finally:
            await run_sync(services.close)

    app = FastAPI(
        title="dermtriage",
        version=version("dermtriage"),
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        # /metrics has our own metrics; FastAPI's would look for collectors at each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.metrics = process_metrics
    for module in (cases, worklist, claims, decisions, images, sessions, health, metrics):
        app.include_router(module.router)
    add_reference(app)
    for kind in EXPECTED_ERRORS:
        app.add_exception_handler(kind, _handle_error)
    app.add_middleware(RequestGuard)
    app.add_middleware(ErrorBoundary, metrics=process_metrics)
    app.openapi = lambda: openapi_document(app)  # type: ignore[method-assign]
    return app


async def _handle_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The router names the methods of one route, and an address may have several.
        found = route_of(request.app, request.url.path)
        error.headers = {"Allow": ", ".join(found.methods)} if found else error.headers
    # While the rest of a refused body is thrown away, what has arrived of it is let go.
    return error_response(error.with_traceback(None))

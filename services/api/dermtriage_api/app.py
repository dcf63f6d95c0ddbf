"""The application: run it with ``uvicorn --factory dermtriage_api.app:create_app``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from anyio.to_thread import current_default_thread_limiter, run_sync
from fastapi import FastAPI, Request
from starlette.responses import Response

from dermtriage.core.logging_setup import setup_logging
from dermtriage.core.settings import Settings, get_settings
from dermtriage_api.api_docs.openapi import describe
from dermtriage_api.api_docs.reference import add_reference
from dermtriage_api.http.problems import FORESEEN, problem_response
from dermtriage_api.metrics import Metrics
from dermtriage_api.middleware.error_boundary import ErrorBoundary
from dermtriage_api.middleware.request_guard import RequestGuard
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
Photographs in, a severity-ranked worklist out. Clinics send cases and read their outcomes;
clinicians read the worklist and decide. Nothing here closes a case by itself.

Every error is a problem document (RFC 9457): `code` is stable, `remedy` says what to do.
"""

_TAGS = [
    {"name": "cases", "description": "What clinics send and read."},
    {"name": "review", "description": "What clinicians read and decide."},
    {"name": "sessions", "description": "Logins of clinicians."},
    {"name": "operation", "description": "For load balancers and monitoring; no patient data."},
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application.

    Parameters
    ----------
    settings
        Those of the environment by default; then the process's logging is set up too.

    Raises
    ------
    ConfigurationError
        If a setting cannot be right.
    """
    if settings is None:
        settings = get_settings()
        setup_logging(settings.log_level)
    chosen = settings
    telemetry = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = Services.open(chosen)
        app.state.services = services
        telemetry.watch(services)
        # As many threads as connections: no thread holds a request while it waits for one.
        current_default_thread_limiter().total_tokens = chosen.database_pool_size
        try:
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
        # Our figures stand in /metrics; looking for other collectors would cost each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.telemetry = telemetry
    for module in (cases, worklist, claims, decisions, images, sessions, health, metrics):
        app.include_router(module.router)
    add_reference(app)
    for kind in FORESEEN:
        app.add_exception_handler(kind, _answer)
    app.add_middleware(RequestGuard)
    app.add_middleware(ErrorBoundary, telemetry=telemetry)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


async def _answer(_request: Request, error: Exception) -> Response:
    return problem_response(error)

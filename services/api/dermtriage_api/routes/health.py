"""Liveness and readiness, for load balancers."""

from fastapi import APIRouter, Request, Response

from dermtriage_api.readiness import ReadinessChecks
from dermtriage_api.schemas.health import Liveness, Readiness

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="Liveness")
async def healthz() -> Liveness:
    """Check that the process is running. Nothing else is checked."""
    return Liveness()


@router.get(
    "/readyz",
    summary="Readiness",
    responses={
        503: {
            "model": Readiness,
            "description": "Database or store are unavailable, the database is outdated, or the"
            " store is not the one of this database.",
        }
    },
)
async def readyz(request: Request, response: Response) -> Readiness:
    """Check database, store and queue. Without the queue uploads are still accepted.

    It answers within a fraction of a second even if one of them hangs.
    """
    readiness: ReadinessChecks = request.app.state.readiness
    checks = await readiness.results()
    ready = checks["database"] == checks["store"] == "ok"
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, checks=checks)

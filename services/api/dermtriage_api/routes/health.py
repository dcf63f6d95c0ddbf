"""Liveness and readiness, for load balancers."""

from collections.abc import Callable

from fastapi import APIRouter, Response

from dermtriage.core.errors import Unavailable
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.database.migrations import is_usable
from dermtriage.messaging.redis_client import check_redis
from dermtriage_api.schemas.health import Check, Liveness, Readiness
from dermtriage_api.services import Services, ServicesDep

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
            "description": "Database or store are unavailable, or the database is outdated.",
        }
    },
)
def readyz(response: Response, services: ServicesDep) -> Readiness:
    """Check database, store and queue. Without the queue uploads are still accepted."""
    checks: dict[str, Check] = {
        "database": _database(services),
        "store": _reachable(services.store.check),
        "queue": _reachable(lambda: check_redis(services.settings)),
    }
    ready = checks["database"] == checks["store"] == "ok"
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, checks=checks)


def _database(services: Services) -> Check:
    try:
        with outage_as_unavailable():
            return "ok" if is_usable(services.engine, services.settings) else "outdated"
    except Unavailable:
        return "unavailable"


def _reachable(check: Callable[[], None]) -> Check:
    try:
        check()
    except Unavailable:
        return "unavailable"
    return "ok"

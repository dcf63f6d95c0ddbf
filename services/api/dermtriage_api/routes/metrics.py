"""Metrics for Prometheus."""

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from dermtriage_api.metrics import Metrics
from dermtriage_api.services import ServicesDep

router = APIRouter(tags=["operation"])


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
async def metrics(request: Request, services: ServicesDep) -> Response:
    """Read the metrics of the whole system and the request counts of this process.

    This address needs no authentication: make it reachable only for your monitoring.
    """
    metrics: Metrics = request.app.state.metrics
    rendered = await run_sync(metrics.render, limiter=services.threads.metrics)
    return Response(rendered, media_type=CONTENT_TYPE_LATEST)

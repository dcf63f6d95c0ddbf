"""Metrics for Prometheus."""

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from dermtriage_api.metrics import Metrics

router = APIRouter(tags=["operation"])


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Show figures of the whole system and the requests of this process.

    Anybody who reaches this address may read it, so let only monitoring reach it.
    """
    telemetry: Metrics = request.app.state.telemetry
    return Response(telemetry.render(), media_type=CONTENT_TYPE_LATEST)

"""What Prometheus reads: the figures of the whole system, and this process's own requests."""

import logging
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dermtriage.core.clock import utcnow
from dermtriage.core.errors import Unavailable
from dermtriage.operations import metrics
from dermtriage_api.services import Services

logger = logging.getLogger(__name__)


class Metrics:
    """Counts the requests of one process and renders everything for a scrape."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "dermtriage_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "dermtriage_http_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("method", "route"),
            registry=self._registry,
        )

    def watch(self, services: Services) -> None:
        """Add the figures that stand in the database."""
        self._registry.register(_Figures(services))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is the template, so that no identifier shows."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _Figures(Collector):
    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> Iterable[Metric]:
        # Named here, registration need not ask the database for the figures.
        return ()

    def collect(self) -> Iterable[Metric]:
        try:
            with self._services.transaction() as session:
                now = metrics.figures(session, now=utcnow(), settings=self._services.settings)
        except Unavailable as error:
            # The requests' own counts are most wanted during an outage.
            logger.warning("figures not read", extra={"reason": str(error)})
            yield _gauge("database_up", "Whether the database answered this scrape.", 0)
            return
        yield _gauge("database_up", "Whether the database answered this scrape.", 1)
        yield _gauges(
            "pending_images",
            "Images that wait for a score, by their greatest age in seconds (cumulative).",
            "max_age",
            {f"{age:g}".replace("inf", "+Inf"): n for age, n in now.pending_by_age.items()},
        )
        yield _gauge(
            "oldest_unscored_seconds",
            "Age of the oldest image that waits for a score.",
            now.oldest_unscored_seconds,
        )
        yield _gauge(
            "assessments_per_second",
            "Assessments a second over the last minute.",
            now.assessments_per_second,
        )
        yield _gauges(
            "worklist_cases",
            "Open cases.",
            "lane",
            {str(int(lane)): n for lane, n in now.worklist_by_lane.items()},
        )
        yield _gauges(
            "overdue_cases",
            "Open cases past their due time.",
            "lane",
            {str(int(lane)): n for lane, n in now.overdue_by_lane.items()},
        )
        yield _gauge(
            "unscored_cases",
            "Open cases without their scores, pending or failed.",
            now.unscored_cases,
        )
        yield _gauge(
            "cases_awaiting_retake",
            "Cases whose clinic was asked for new photographs.",
            now.awaiting_retake,
        )
        yield _gauge("live_workers", "Workers with a fresh heartbeat.", now.live_workers)
        yield _gauge("live_slots", "Scoring threads of the live workers.", now.live_slots)
        yield _gauge("batches", "Batches that the live workers have scored.", now.batches)
        yield _gauge(
            "batched_images",
            "Images in those batches; over `batches` it is the mean batch size.",
            now.batched_images,
        )
        yield _gauge("broken_invariants", "Found by the last nightly check.", now.broken_invariants)


def _gauge(name: str, help_: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"dermtriage_{name}", help_, value=value)


def _gauges(name: str, help_: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"dermtriage_{name}", help_, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family

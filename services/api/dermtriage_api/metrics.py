"""Prometheus metrics: gauges of the whole system, and the requests of this process."""

import logging
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dermtriage.core.clock import utcnow
from dermtriage.core.enums import Lane
from dermtriage.core.errors import Unavailable
from dermtriage.operations.metrics import Figures, figures
from dermtriage_api.services import Services

logger = logging.getLogger(__name__)

_GAUGES: tuple[tuple[str, str, Callable[[Figures], float]], ...] = (
    (
        "oldest_unscored_seconds",
        "Age of the oldest image that waits for a score.",
        lambda figures: figures.oldest_unscored_seconds,
    ),
    (
        "assessments_per_second",
        "Assessments per second over the last minute.",
        lambda figures: figures.assessments_per_second,
    ),
    (
        "unscored_cases",
        "Open cases without their scores, pending or failed.",
        lambda figures: figures.unscored_cases,
    ),
    (
        "cases_awaiting_retake",
        "Cases that wait for new photographs from their clinic.",
        lambda figures: figures.awaiting_retake,
    ),
    (
        "live_workers",
        "Workers with a recent heartbeat.",
        lambda figures: figures.live_workers,
    ),
    (
        "live_slots",
        "Scoring threads of the live workers.",
        lambda figures: figures.live_slots,
    ),
    (
        "batches",
        "Batches that the live workers have scored.",
        lambda figures: figures.batches,
    ),
    (
        "batched_images",
        "Images in those batches; divided by `batches`, the mean batch size.",
        lambda figures: figures.batched_images,
    ),
    (
        "broken_invariants",
        "Invariants that the last nightly check found broken.",
        lambda figures: figures.broken_invariants,
    ),
    (
        "invariants_checked_timestamp_seconds",
        "When the last nightly check of the invariants ended (Unix time); 0 before the first one.",
        lambda figures: (
            figures.invariants_checked_at.timestamp() if figures.invariants_checked_at else 0
        ),
    ),
    (
        "refused_orphans",
        "Orphans that the last orphan sweep left in place because they were too many; else 0.",
        lambda figures: figures.refused_orphans,
    ),
)

_LABELED_GAUGES: tuple[tuple[str, str, str, Callable[[Figures], Mapping[str, float]]], ...] = (
    (
        "pending_images",
        "Images that wait for a score, by their maximum age in seconds (cumulative).",
        "max_age",
        lambda figures: {
            f"{age:g}".replace("inf", "+Inf"): count
            for age, count in figures.pending_by_age.items()
        },
    ),
    (
        "worklist_cases",
        "Open cases.",
        "lane",
        lambda figures: _by_lane(figures.worklist_by_lane),
    ),
    (
        "overdue_cases",
        "Open cases past their due time.",
        "lane",
        lambda figures: _by_lane(figures.overdue_by_lane),
    ),
)


class Metrics:
    """The metrics of one process of the API."""

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
            "Time from the head of a request to the end of its response.",
            ("method", "route"),
            registry=self._registry,
        )

    def add_system_gauges(self, services: Services) -> None:
        """Add the gauges that are read from the database at each scrape."""
        self._registry.register(_SystemGauges(services))

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is the path's template, without identifiers."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _SystemGauges(Collector):
    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> Iterable[Metric]:
        # Without this, registration would call `collect` and so query the database.
        return ()

    def collect(self) -> Iterable[Metric]:
        try:
            with self._services.databases.health.transaction() as session:
                current = figures(session, now=utcnow(), settings=self._services.settings)
        except Unavailable as error:
            # The request counts are still reported: they matter most during an outage.
            logger.warning("metrics could not be read", extra={"reason": str(error)})
            yield _database_up(0)
            return
        yield _database_up(1)
        for name, documentation, read in _GAUGES:
            yield GaugeMetricFamily(f"dermtriage_{name}", documentation, value=read(current))
        for name, documentation, label, read_all in _LABELED_GAUGES:
            family = GaugeMetricFamily(f"dermtriage_{name}", documentation, labels=[label])
            for value, count in read_all(current).items():
                family.add_metric([value], count)
            yield family


def _database_up(value: int) -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "dermtriage_database_up", "Whether the database could be read at this scrape.", value=value
    )


def _by_lane(counts: Mapping[Lane, int]) -> Mapping[str, float]:
    return {str(int(lane)): count for lane, count in counts.items()}

"""Messages: the Celery application, the names of queues and tasks, and how to send.

A message is a hint that there is work; PostgreSQL knows the work itself. So sending may fail
without harm, and nothing here waits for Redis in a request's way.
"""

import logging
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, quote, urlsplit
from uuid import UUID

from celery import Celery
from redis import Redis
from redis.exceptions import RedisError

from dermtriage.errors import Unavailable
from dermtriage.settings import Settings

logger = logging.getLogger(__name__)

UPLOADS = "uploads"
BULK = "bulk"
UPKEEP = "upkeep"

ENOUGH = 32
"""Messages that wait while every thread is at work already: whoever is free takes one at once,
and whoever is at work looks for more by itself. So that many are left for those that start anew."""

SCORE = "dermtriage.score"
RESCORE = "dermtriage.rescore"
RECOVER = "dermtriage.recover"
AGE = "dermtriage.age"
CHECK_INVARIANTS = "dermtriage.check_invariants"
SWEEP = "dermtriage.sweep"
PLAN_NIGHT = "dermtriage.plan_night"
END_RUNS = "dermtriage.end_runs"


def _broker_url(redis_url: str) -> str:
    """Return the URL in Celery's spelling, which differs for Unix sockets alone."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    password = f":{quote(parts.password)}@" if parts.password else ""
    return f"redis+socket://{password}{parts.path}?virtual_host={database}"


def make_celery(settings: Settings) -> Celery:
    """Build the Celery application that API, workers and upkeep share."""
    settings.require("redis_url")
    timeout = settings.redis_timeout
    app = Celery("dermtriage", set_as_current=False)
    app.conf.update(
        broker_url=_broker_url(settings.redis_url.get_secret_value()),
        broker_transport_options={
            # A server that froze must not hold a thread: no client waits without an end.
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_publish_retry=False,
        task_acks_late=False,
        task_create_missing_queues=True,
        task_routes={
            SCORE: {"queue": UPLOADS},
            RESCORE: {"queue": BULK},
            **{
                name: {"queue": UPKEEP}
                for name in (RECOVER, AGE, CHECK_INVARIANTS, SWEEP, PLAN_NIGHT, END_RUNS)
            },
        },
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        timezone=settings.timezone,
    )
    return app


def send_scores(app: Celery, image_ids: Iterable[UUID]) -> None:
    """Say that these images wait for their scores.

    Raises
    ------
    Unavailable
        If Redis does not take the messages; recovery sends them again later.
    """
    with _outage_as_unavailable():
        for image_id in image_ids:
            app.send_task(SCORE, args=[str(image_id)], retry=False)


def send_rescores(app: Celery, count: int) -> None:
    """Say to so many threads that chunks of rescore runs wait.

    Raises
    ------
    Unavailable
        If Redis does not take the messages; recovery sends them again later.
    """
    with _outage_as_unavailable():
        for _ in range(count):
            app.send_task(RESCORE, retry=False)


def send_end_runs(app: Celery) -> None:
    """Say to upkeep that a rescore run may have ended.

    Raises
    ------
    Unavailable
        If Redis does not take the message; upkeep looks by itself later.
    """
    with _outage_as_unavailable():
        app.send_task(END_RUNS, retry=False)


@contextmanager
def _outage_as_unavailable() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # kombu raises whatever its transport does, OSError among it
        raise Unavailable("Redis cannot be reached.", code="queue_unavailable") from error


def _redis(settings: Settings) -> Redis:
    return Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=settings.redis_timeout,
        socket_connect_timeout=settings.redis_timeout,
    )


def check_queue(settings: Settings) -> None:
    """Ask Redis for a sign of life.

    Raises
    ------
    Unavailable
        If there is none.
    """
    settings.require("redis_url")
    client = _redis(settings)
    try:
        client.ping()
    except (RedisError, OSError) as error:
        raise Unavailable("Redis cannot be reached.", code="queue_unavailable") from error
    finally:
        client.close()


class ScoreSender:
    """Sends off the request's way: callers hand over and go on.

    What cannot be sent is dropped, since recovery finds it in the database. Where enough messages
    wait already, no more are needed: whoever takes one goes on until nothing is pending.
    """

    def __init__(self, settings: Settings, capacity: int = 10_000) -> None:
        self._app = make_celery(settings)
        self._redis = _redis(settings)
        self._waiting: queue.Queue[UUID | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._run, name="score-sender", daemon=True)

    def start(self) -> None:
        """Start the thread that sends."""
        self._thread.start()

    def send_score(self, image_id: UUID) -> None:
        """Hand over one image; never waits, never raises."""
        try:
            self._waiting.put_nowait(image_id)
        except queue.Full:
            logger.warning("message dropped", extra={"image_id": image_id, "reason": "full"})

    def stop(self, timeout: float) -> None:
        """Send what was handed over, but for `timeout` seconds at most."""
        try:
            self._waiting.put(None, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _run(self) -> None:
        while (image_id := self._waiting.get()) is not None:
            try:
                if self._redis.llen(UPLOADS) < ENOUGH:
                    send_scores(self._app, [image_id])
            except (Unavailable, RedisError, OSError) as error:
                logger.warning(
                    "message dropped", extra={"image_id": image_id, "reason": str(error)}
                )

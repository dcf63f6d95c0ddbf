"""Sending messages.

A message is a hint that there is work; PostgreSQL knows the work itself. So sending may fail
without harm, and no request waits for Redis.
"""

import logging
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from celery import Celery
from redis.exceptions import RedisError

from dermtriage.core.errors import Unavailable
from dermtriage.core.settings import Settings
from dermtriage.messaging.celery_app import make_celery
from dermtriage.messaging.redis_client import connect_redis
from dermtriage.messaging.tasks import END_RUNS, RESCORE, SCORE, UPLOADS

logger = logging.getLogger(__name__)


MAX_WAITING_MESSAGES = 32
"""Messages that wait while every thread is at work already: whoever is free takes one at once,
and whoever is at work looks for more by itself. So that many are left for those that start anew."""


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


class ScoreSender:
    """Sends off the request's way: callers hand over and go on.

    What cannot be sent is dropped, since recovery finds it in the database. Where enough messages
    wait already, no more are needed: whoever takes one goes on until nothing is pending.
    """

    def __init__(self, settings: Settings, capacity: int = 10_000) -> None:
        self._app = make_celery(settings)
        self._redis = connect_redis(settings)
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
                if self._redis.llen(UPLOADS) < MAX_WAITING_MESSAGES:
                    send_scores(self._app, [image_id])
            except (Unavailable, RedisError, OSError) as error:
                logger.warning(
                    "message dropped", extra={"image_id": image_id, "reason": str(error)}
                )

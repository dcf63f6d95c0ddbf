"""Sending messages to workers.

A message is a hint that there is work; the work itself is in PostgreSQL, where an idle worker looks
by itself. So a lost message does no harm, and no request waits for Redis.
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
from dermtriage.messaging.tasks import RESCORE, SCORE, UPLOADS

logger = logging.getLogger(__name__)


MAX_WAITING_MESSAGES = 32
"""The length of the queue from which no more messages are sent. An idle worker takes a message at
once, and a busy one looks for further pending images itself, so that longer queues gain nothing."""


def send_scores(app: Celery, image_ids: Iterable[UUID]) -> None:
    """Send a message for each of these images, which are pending.

    Raises
    ------
    Unavailable
        If Redis cannot be reached; recovery sends the messages again later.
    """
    with _outage_as_unavailable():
        for image_id in image_ids:
            app.send_task(SCORE, args=[str(image_id)], retry=False)


def send_rescores(app: Celery, count: int) -> None:
    """Send `count` messages that chunks of rescore runs are waiting, one for each idle thread.

    Raises
    ------
    Unavailable
        If Redis cannot be reached; recovery sends the messages again later.
    """
    with _outage_as_unavailable():
        for _ in range(count):
            app.send_task(RESCORE, retry=False)


@contextmanager
def _outage_as_unavailable() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # kombu raises whatever its transport raises, such as OSError
        raise Unavailable("Redis cannot be reached.", code="queue_unavailable") from error


class ScoreSender:
    """Sends messages from a thread of its own, so that no request waits for Redis.

    A message that cannot be sent is dropped: recovery finds the pending image in the database.

    Parameters
    ----------
    capacity
        How many messages may wait in this process; further ones are dropped.
    max_waiting
        The length of the queue in Redis from which no more messages are sent.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        capacity: int = 10_000,
        max_waiting: int = MAX_WAITING_MESSAGES,
    ) -> None:
        self._max_waiting = max_waiting
        self._app = make_celery(settings)
        self._redis = connect_redis(settings)
        self._waiting: queue.Queue[UUID | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._run, name="score-sender", daemon=True)

    def start(self) -> None:
        """Start the thread that sends."""
        self._thread.start()

    def send_score(self, image_id: UUID) -> None:
        """Enqueue the message for one image; never waits, never raises."""
        try:
            self._waiting.put_nowait(image_id)
        except queue.Full:
            logger.warning("message dropped", extra={"image_id": image_id, "reason": "full"})

    def stop(self, timeout: float) -> None:
        """Send what is still enqueued, for at most `timeout` seconds, and end the thread."""
        try:
            self._waiting.put(None, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _run(self) -> None:
        while (image_id := self._waiting.get()) is not None:
            try:
                if self._redis.llen(UPLOADS) < self._max_waiting:
                    send_scores(self._app, [image_id])
            except (Unavailable, RedisError, OSError) as error:
                logger.warning(
                    "message dropped", extra={"image_id": image_id, "reason": str(error)}
                )

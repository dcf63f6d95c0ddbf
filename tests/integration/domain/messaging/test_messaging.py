"""Messages over a real Redis."""

from uuid import uuid4

import pytest
from redis import Redis

from dermtriage.core.errors import Unavailable
from dermtriage.core.settings import Settings
from dermtriage.messaging.redis_client import check_redis
from dermtriage.messaging.sender import ScoreSender
from dermtriage.messaging.tasks import UPLOADS


@pytest.fixture
def queue(settings: Settings) -> Redis:
    client = Redis.from_url(settings.redis_url.get_secret_value())
    # This Redis is the tests' own; no worker consumes what earlier tests sent.
    client.delete(UPLOADS)
    return client


def test_one_message_per_image_until_the_queue_is_long_enough(
    settings: Settings, queue: Redis
) -> None:
    sender = ScoreSender(settings, max_waiting=3)
    sender.start()
    for _ in range(10):
        sender.send_score(uuid4())
    sender.stop(30)
    assert queue.llen(UPLOADS) == 3


def test_without_redis_sending_neither_raises_nor_blocks(settings: Settings) -> None:
    nowhere = settings.model_copy(
        update={"redis_url": type(settings.redis_url)("unix:///nowhere/redis.sock?db=0")}
    )
    with pytest.raises(Unavailable):
        check_redis(nowhere)
    sender = ScoreSender(nowhere)
    sender.start()
    sender.send_score(uuid4())
    sender.stop(30)

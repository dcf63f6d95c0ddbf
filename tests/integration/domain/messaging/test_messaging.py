"""Messages over a real Redis."""

from uuid import uuid4

import pytest
from redis import Redis

from dermtriage.core.errors import Unavailable
from dermtriage.core.settings import Settings
from dermtriage.messaging import sender as sender_module
from dermtriage.messaging.redis_client import check_queue
from dermtriage.messaging.sender import ScoreSender
from dermtriage.messaging.tasks import UPLOADS


@pytest.fixture
def queue(settings: Settings) -> Redis:
    client = Redis.from_url(settings.redis_url.get_secret_value())
    # This Redis is the tests' own; what earlier tests sent has no reader.
    client.delete(UPLOADS)
    return client


def test_a_message_an_image_while_the_queue_is_short(
    settings: Settings, queue: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "MAX_WAITING_MESSAGES", 3)
    sender = ScoreSender(settings)
    sender.start()
    for _ in range(10):
        sender.send_score(uuid4())
    sender.stop(30)
    assert queue.llen(UPLOADS) == 3


def test_without_redis_nothing_is_raised_and_nothing_waits(settings: Settings) -> None:
    nowhere = settings.model_copy(
        update={"redis_url": type(settings.redis_url)("unix:///nowhere/redis.sock?db=0")}
    )
    with pytest.raises(Unavailable):
        check_queue(nowhere)
    sender = ScoreSender(nowhere)
    sender.start()
    sender.send_score(uuid4())
    sender.stop(30)

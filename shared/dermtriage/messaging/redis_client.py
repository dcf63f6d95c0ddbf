"""A plain connection to Redis, beside Celery's own."""

from redis import Redis
from redis.exceptions import RedisError

from dermtriage.core.errors import Unavailable
from dermtriage.core.settings import Settings


def connect_redis(settings: Settings) -> Redis:
    """Return a client of Redis that waits for no answer longer than the settings say."""
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
    client = connect_redis(settings)
    try:
        client.ping()
    except (RedisError, OSError) as error:
        raise Unavailable("Redis cannot be reached.", code="queue_unavailable") from error
    finally:
        client.close()

"""A direct connection to Redis, apart from Celery's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.exceptions import RedisError

from dermtriage.core.errors import Unavailable
from dermtriage.core.settings import Settings


def connect_redis(settings: Settings) -> Redis:
    """Return a Redis client with the timeouts of the settings."""
    return Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=settings.redis_timeout,
        socket_connect_timeout=settings.redis_timeout,
    )


def check_redis(settings: Settings) -> None:
    """Check that Redis answers a PING.

    Raises
    ------
    ConfigurationError
        If the URL of Redis is not set.
    Unavailable
        If Redis does not answer.
    """
    with _connected(settings) as client:
        client.ping()


def describe_redis(settings: Settings) -> str:
    """Return the name and the version of the server, such as ``Valkey 9.0.1``.

    Raises
    ------
    ConfigurationError
        If the URL of Redis is not set.
    Unavailable
        If Redis does not answer.
    """
    with _connected(settings) as client:
        server = client.info("server")
    if "valkey_version" in server:
        return f"Valkey {server['valkey_version']}"
    return f"Redis {server['redis_version']}"


@contextmanager
def _connected(settings: Settings) -> Iterator[Redis]:
    settings.require("redis_url")
    client = connect_redis(settings)
    try:
        yield client
    except (RedisError, OSError) as error:
        raise Unavailable("Redis cannot be reached.", code="queue_unavailable") from error
    finally:
        client.close()

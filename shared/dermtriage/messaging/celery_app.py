"""The Celery application of API, workers and upkeep; only workers consume messages."""

from urllib.parse import parse_qs, quote, urlsplit

from celery import Celery

from dermtriage.core.settings import Settings
from dermtriage.messaging import tasks

TASK_ROUTES = {
    tasks.SCORE: {"queue": tasks.UPLOADS},
    tasks.RESCORE: {"queue": tasks.BULK},
}


def make_celery(settings: Settings) -> Celery:
    """Build the Celery application; it does not connect before it is used.

    Raises
    ------
    ConfigurationError
        If the URL of Redis is not set.
    """
    settings.require("redis_url")
    app = Celery("dermtriage", set_as_current=False)
    app.conf.update(
        broker_url=_broker_url(settings.redis_url.get_secret_value()),
        # Without timeouts, a Redis server that hangs would block a thread for good.
        broker_transport_options={
            "socket_timeout": settings.redis_timeout,
            "socket_connect_timeout": settings.redis_timeout,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        # A worker reconnects for as long as it takes; a sender fails at once, since recovery
        # sends again what was lost.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A Redis server that has become a replica answers each command with an error.
        broker_channel_error_retry=True,
        task_publish_retry=False,
        # JSON only: a message can never run code (pickle can).
        task_serializer="json",
        accept_content=["json"],
        # A message is a hint, acknowledged before the work; leases in PostgreSQL make it safe.
        task_acks_late=False,
        task_ignore_result=True,
        task_create_missing_queues=True,
        task_routes=TASK_ROUTES,
        # A worker takes no more messages than it has threads for. Celery's other way, a limit on
        # the messages without acknowledgement, counts for good those whose acknowledgement failed:
        # after an outage of Redis the worker would take no more.
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=0,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        # Our own logging stays in place.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        timezone=settings.timezone,
    )
    return app


def _broker_url(redis_url: str) -> str:
    """Return the broker URL for Celery, which spells Unix sockets differently from redis-py."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    password = f":{quote(parts.password)}@" if parts.password else ""
    return f"redis+socket://{password}{parts.path}?virtual_host={database}"

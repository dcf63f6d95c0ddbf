"""The Celery application that API, workers and upkeep share."""

from urllib.parse import parse_qs, quote, urlsplit

from celery import Celery

from dermtriage.core.settings import Settings
from dermtriage.messaging.tasks import (
    AGE,
    BULK,
    CHECK_INVARIANTS,
    END_RUNS,
    PLAN_NIGHT,
    RECOVER,
    RESCORE,
    SCORE,
    SWEEP,
    UPKEEP,
    UPLOADS,
)


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

"""Nothing waits for Redis: scoring and upkeep go on while it is frozen, dead or a replica."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import redis
from sqlalchemy import select, text
from tests.acceptance.conftest import System, wait_for
from tests.acceptance.upload import upload_many

from dermtriage.messaging.celery_app import make_celery
from dermtriage.messaging.sender import send_scores
from dermtriage.messaging.tasks import UPLOADS
from dermtriage.models import RescoreRun
from dermtriage_worker.process import FAILED, STOPPED

MESSAGES = 12
"""More than a worker of two slots takes at once."""


def redis_client(system: System) -> redis.Redis:
    return redis.Redis.from_url(system.settings.redis_url.get_secret_value())


@contextmanager
def frozen(system: System) -> Iterator[None]:
    """Stop the Redis server as a stalled machine would, and let it go on."""
    pid = redis_client(system).info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def seconds_until(condition: Callable[[], object], what: str) -> float:
    began = time.monotonic()
    wait_for(condition, what)
    return time.monotonic() - began


def start_idle_worker(system: System) -> None:
    system.start_worker()
    wait_for(lambda: system.count_live_workers() == 1, "the worker")
    send_scores(make_celery(system.settings), [uuid4()])
    wait_for(lambda: redis_client(system).llen(UPLOADS) == 0, "a worker that takes messages")


def test_an_upload_is_scored_soon_although_redis_is_frozen(system: System) -> None:
    system.start_api()
    start_idle_worker(system)
    with frozen(system), system.client() as client:
        images = upload_many(client, 1)
        assert seconds_until(lambda: system.count_scored() == 1, "the score") < 10
    system.assert_all_scored_once(images)


def test_messages_are_taken_again_after_acknowledgements_timed_out(system: System) -> None:
    start_idle_worker(system)
    queue = redis_client(system)
    with system.sessions() as session:
        # No thread of the worker can look for its image meanwhile.
        session.execute(text("LOCK TABLE pending_images IN ACCESS EXCLUSIVE MODE"))
        send_scores(make_celery(system.settings), [uuid4() for _ in range(MESSAGES)])
        wait_for(lambda: queue.llen(UPLOADS) <= MESSAGES - 4, "threads that hold messages")
        with frozen(system):
            session.rollback()
            time.sleep(4 * system.settings.redis_timeout)
    wait_for(lambda: queue.llen(UPLOADS) == 0, "the other messages")


def test_a_worker_that_starts_without_redis_scores_and_stops_in_order(system: System) -> None:
    system.start_api()
    system.redis.kill()
    with system.client() as client:
        images = upload_many(client, 2)
    worker = system.start_worker()
    system.assert_all_scored_once(images)
    worker.terminate()
    wait_for(lambda: worker.poll() is not None, "the end of the worker")
    assert worker.poll() == STOPPED


def test_upkeep_plans_the_night_without_redis(system: System) -> None:
    # As if the first release had been installed long before the last night.
    with system.sessions.begin() as session:
        session.execute(text("UPDATE release_activations SET created_at = '2026-01-01'"))
    system.redis.kill()
    upkeep = system.start_upkeep()

    def nights() -> int:
        with system.sessions() as session:
            return len(session.scalars(select(RescoreRun.night)).all())

    wait_for(lambda: nights() == 1, "the run of the night")
    upkeep.terminate()
    wait_for(lambda: upkeep.poll() is not None, "the end of upkeep")
    assert upkeep.poll() == STOPPED


def test_a_worker_outlives_the_time_in_which_redis_is_a_replica(system: System) -> None:
    system.start_api()
    start_idle_worker(system)
    queue = redis_client(system)
    queue.execute_command("REPLICAOF", "127.0.0.1", "1")
    with system.client() as client:
        images = upload_many(client, 2)
    system.assert_all_scored_once(images)
    assert system.children["worker"].poll() is None
    queue.execute_command("REPLICAOF", "NO", "ONE")
    send_scores(make_celery(system.settings), [uuid4() for _ in range(MESSAGES)])
    wait_for(lambda: queue.llen(UPLOADS) == 0, "a worker that takes messages")


def test_a_worker_that_nobody_told_to_stop_ends_with_a_failure(system: System) -> None:
    # Celery gives up on such an address, and returns as if it had been told to stop.
    url = system.settings.redis_url.get_secret_value().replace("db=0", "db=none")
    system.settings = system.settings.model_copy(
        update={"redis_url": type(system.settings.redis_url)(url)}
    )
    worker = system.start_worker()
    wait_for(lambda: worker.poll() is not None, "the end of the worker")
    assert worker.poll() == FAILED

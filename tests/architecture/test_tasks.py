"""Tasks and queues: exactly one process registers each task, and it consumes the task's queue."""

from typing import cast

import pytest
from celery import Celery

from dermtriage.core.settings import Settings
from dermtriage.messaging import tasks
from dermtriage.messaging.tasks import BULK, RESCORE, SCORE, UPKEEP, UPLOADS
from dermtriage_worker.scoring import celery_app as worker
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.upkeep import celery_app

TASKS = {
    value
    for name, value in vars(tasks).items()
    if name.isupper() and isinstance(value, str) and value.startswith("dermtriage.")
}


@pytest.fixture
def offline() -> Settings:
    return Settings(
        database_url="postgresql+psycopg://nobody@localhost/nothing",
        redis_url="redis://localhost:1/0",
    )


@pytest.fixture
def worker_app(offline: Settings) -> Celery:
    return worker.make_app(offline, cast("Runtime", None))


@pytest.fixture
def upkeep_app(offline: Settings) -> Celery:
    return celery_app.make_app(offline)[0]


def own_tasks(app: Celery) -> set[str]:
    return {name for name in app.tasks if not name.startswith("celery.")}


def queues(app: Celery, tasks: set[str]) -> set[str]:
    return {app.amqp.router.route({}, task)["queue"].name for task in tasks}


def test_each_task_is_registered_by_one_process(worker_app: Celery, upkeep_app: Celery) -> None:
    registered = [*own_tasks(worker_app), *own_tasks(upkeep_app)]
    assert sorted(registered) == sorted(TASKS)


def test_tasks_go_to_the_queue_that_their_process_consumes(
    worker_app: Celery, upkeep_app: Celery
) -> None:
    assert queues(upkeep_app, own_tasks(upkeep_app)) == {UPKEEP}
    assert queues(worker_app, own_tasks(worker_app)) == {UPLOADS, BULK}
    assert queues(worker_app, {SCORE}) == {UPLOADS}
    assert queues(worker_app, {RESCORE}) == {BULK}


def test_a_task_without_a_route_goes_to_none_of_our_queues(worker_app: Celery) -> None:
    assert queues(worker_app, {"dermtriage.unknown"}).isdisjoint({UPLOADS, UPKEEP})


def test_beat_sends_every_task_of_upkeep(upkeep_app: Celery) -> None:
    scheduled = {entry["task"] for entry in upkeep_app.conf.beat_schedule.values()}
    assert scheduled == own_tasks(upkeep_app)


def test_messages_of_beat_expire(upkeep_app: Celery) -> None:
    # A queue that nothing consumed for a day must not deliver a day of messages at once.
    for entry in upkeep_app.conf.beat_schedule.values():
        assert entry["options"]["expires"] > 0


def test_no_process_unpickles_or_obeys_a_message(worker_app: Celery, upkeep_app: Celery) -> None:
    for app in (worker_app, upkeep_app):
        assert app.conf.accept_content == ["json"]
        assert app.conf.worker_enable_remote_control is False
        assert app.conf.result_backend is None

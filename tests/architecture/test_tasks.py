"""Tasks and queues: the worker registers each task, and consumes the task's queue."""

from typing import cast

import pytest
from celery import Celery

from dermtriage.core.settings import Settings
from dermtriage.messaging import tasks
from dermtriage.messaging.tasks import BULK, RESCORE, SCORE, UPLOADS
from dermtriage_worker.scoring import celery_app as worker
from dermtriage_worker.scoring.runtime import Runtime

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


def own_tasks(app: Celery) -> set[str]:
    return {name for name in app.tasks if not name.startswith("celery.")}


def queues(app: Celery, tasks: set[str]) -> set[str]:
    return {app.amqp.router.route({}, task)["queue"].name for task in tasks}


def test_each_task_is_registered_by_the_worker(worker_app: Celery) -> None:
    assert own_tasks(worker_app) == TASKS


def test_tasks_go_to_the_queues_that_the_worker_consumes(
    worker_app: Celery, offline: Settings
) -> None:
    assert offline.worker_queues.split(",") == [UPLOADS, BULK]
    assert queues(worker_app, {SCORE}) == {UPLOADS}
    assert queues(worker_app, {RESCORE}) == {BULK}


def test_a_task_without_a_route_goes_to_none_of_our_queues(worker_app: Celery) -> None:
    assert queues(worker_app, {"dermtriage.unknown"}).isdisjoint({UPLOADS, BULK})


def test_no_process_unpickles_or_obeys_a_message(worker_app: Celery) -> None:
    assert worker_app.conf.accept_content == ["json"]
    assert worker_app.conf.worker_enable_remote_control is False
    assert worker_app.conf.result_backend is None

"""The tasks of upkeep over real servers."""

import base64
import json
import logging
import os
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from redis import Redis
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker
from tests.uploads import send, store_folder

from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings
from dermtriage.messaging.tasks import AGE, RECOVER, SCORE, SWEEP, UPLOADS
from dermtriage.models import StoreIdentity
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.upkeep.celery_app import make_app


def test_recovery_wakes_an_idle_worker_for_what_is_pending(
    sessions: sessionmaker[Session],
    settings: Settings,
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    start()
    (image_id,) = send(sessions, store, clinic_id, 1)
    queue = Redis.from_url(settings.redis_url.get_secret_value())
    # This Redis is the tests' own; no worker reads what earlier tests sent.
    queue.delete(UPLOADS)
    app, _ = make_app(settings)
    app.tasks[RECOVER]()
    (message,) = (json.loads(one) for one in queue.lrange(UPLOADS, 0, -1))
    assert message["headers"]["task"] == SCORE
    arguments, *_ = json.loads(base64.b64decode(message["body"]))
    assert arguments == [str(image_id)]


def test_an_outage_of_the_database_postpones_a_task(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    away = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    app, _ = make_app(settings.model_copy(update={"database_url": away}))
    app.tasks[AGE]()
    (record,) = [one for one in caplog.records if one.message == "task postponed"]
    assert vars(record)["task_name"] == AGE


def test_the_store_of_another_database_is_not_swept_and_an_operator_is_called(
    settings: Settings,
    sessions: sessionmaker[Session],
    store: ImageStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    image_id = new_id()
    store.put_original(image_id, b"another database's")
    original = store_folder(settings) / "originals" / image_id.hex[-2:] / str(image_id)
    os.utime(original, (0, 0))
    with sessions.begin() as session:
        session.execute(update(StoreIdentity).values(store_id=uuid4()))
    app, _ = make_app(settings)
    app.tasks[SWEEP]()
    (record,) = [one for one in caplog.records if one.message == "task postponed"]
    assert record.levelno == logging.ERROR
    assert "belongs to another database" in vars(record)["reason"]
    assert original.exists()

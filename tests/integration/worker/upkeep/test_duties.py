"""The duties of upkeep over real servers."""

import base64
import json
import os
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from redis import Redis
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker
from tests.uploads import send, store_folder

from dermtriage.core.errors import StoreMismatch, Unavailable
from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings
from dermtriage.messaging.tasks import SCORE, UPLOADS
from dermtriage.models import StoreIdentity
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.upkeep.duties import Duties
from dermtriage_worker.upkeep.process import schedule


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
    Duties(settings).recover()
    (message,) = (json.loads(one) for one in queue.lrange(UPLOADS, 0, -1))
    assert message["headers"]["task"] == SCORE
    arguments, *_ = json.loads(base64.b64decode(message["body"]))
    assert arguments == [str(image_id)]


def test_duties_report_an_outage_of_the_database_as_one(settings: Settings) -> None:
    away = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    changed = settings.model_copy(update={"database_url": away})
    for duty in schedule(Duties(changed), changed):
        # A store without an object to sweep needs no database.
        if duty.name != "sweep":
            with pytest.raises(Unavailable):
                duty.do()


def test_every_duty_is_on_the_schedule(settings: Settings) -> None:
    duties = Duties(settings)
    public = {name for name in vars(Duties) if not name.startswith("_")}
    assert {duty.do for duty in schedule(duties, settings)} == {
        getattr(duties, name) for name in public
    }


def test_the_store_of_another_database_is_not_swept(
    settings: Settings, sessions: sessionmaker[Session], store: ImageStore
) -> None:
    image_id = new_id()
    store.put_original(image_id, b"another database's")
    original = store_folder(settings) / "originals" / image_id.hex[-2:] / str(image_id)
    os.utime(original, (0, 0))
    with sessions.begin() as session:
        session.execute(update(StoreIdentity).values(store_id=uuid4()))
    with pytest.raises(StoreMismatch, match="belongs to another database"):
        Duties(settings).sweep()
    assert original.exists()

"""A severe photograph gets its heat map once nothing waits, and no map ever costs a score."""

import io
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from PIL import Image
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import photograph

from dermtriage.core.enums import Scoring, Severity
from dermtriage.core.errors import NotFound, Unavailable
from dermtriage.core.settings import Settings
from dermtriage.models import PolicyVersion
from dermtriage.releases.queries import active_release
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending


@pytest.fixture
def runtime(settings: Settings) -> Iterator[Runtime]:
    started = Runtime(settings.model_copy(update={"scoring_threads": 1, "scoring_batch": 2}))
    yield started
    started.sessions.kw["bind"].dispose()


@pytest.fixture
def store(settings: Settings) -> ImageStore:
    return ImageStore.from_settings(settings)


def send(
    sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID, count: int
) -> list[UUID]:
    images = []
    with sessions.begin() as session:
        for number in range(count):
            receipt = factories.receive(session, clinic_id, store=store, files=[photograph(number)])
            images += receipt.pending_image_ids
    return images


def judge(sessions: sessionmaker[Session], **thresholds: float) -> None:
    """Let the active policy judge by these thresholds."""
    with sessions.begin() as session:
        session.execute(update(PolicyVersion).values(body=PolicyVersion.body.op("||")(thresholds)))


def severities(sessions: sessionmaker[Session], images: list[UUID]) -> list[Severity | None]:
    with sessions() as session:
        return [factories.image(session, image_id).severity for image_id in images]


def test_severe_photographs_get_a_heat_map(
    runtime: Runtime, sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID
) -> None:
    judge(sessions, lower=0.0, upper=0.0)
    images = send(sessions, store, clinic_id, 3)

    assert score_pending(runtime, images[0]) == 3

    assert severities(sessions, images) == [Severity.SEVERE] * 3
    for image_id in images:
        with Image.open(io.BytesIO(store.get_heat_map(image_id, _release(sessions)))) as picture:
            assert picture.format == "JPEG"
            assert max(picture.size) <= 640


def test_others_get_none(
    runtime: Runtime, sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID
) -> None:
    judge(sessions, lower=0.0, upper=1.0)
    (image_id,) = send(sessions, store, clinic_id, 1)
    score_pending(runtime, image_id)
    assert severities(sessions, [image_id]) == [Severity.INDETERMINATE]
    with pytest.raises(NotFound):
        store.get_heat_map(image_id, _release(sessions))


def test_scores_come_before_maps(
    runtime: Runtime,
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge(sessions, lower=0.0, upper=0.0)
    images = send(sessions, store, clinic_id, 5)
    late: list[UUID] = []
    seen: list[int] = []
    put = ImageStore.put_heat_map

    def put_and_send_more(self: ImageStore, *args: Any) -> None:
        if not late:
            late.extend(send(sessions, store, clinic_id, 1))
        seen.append(sum(severity is None for severity in severities(sessions, images + late)))
        put(self, *args)

    monkeypatch.setattr(ImageStore, "put_heat_map", put_and_send_more)
    assert score_pending(runtime, images[0]) == 6
    # The one that came while the first map was drawn was scored before the second.
    assert seen == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("broken", ["put_heat_map", "get_rendition"])
def test_a_map_that_fails_costs_no_score(
    broken: str,
    runtime: Runtime,
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise Unavailable("The image store cannot be reached.")

    judge(sessions, lower=0.0, upper=0.0)
    images = send(sessions, store, clinic_id, 3)
    monkeypatch.setattr(ImageStore, broken, fail)
    assert score_pending(runtime, images[0]) == 3
    with sessions() as session:
        found = [factories.image(session, image_id).scoring for image_id in images]
    assert found == [Scoring.SCORED] * 3


def _release(sessions: sessionmaker[Session]) -> str:
    with sessions() as session:
        return active_release(session).name

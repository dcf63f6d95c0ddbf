"""A severe photograph gets its heat map once no image is pending; no map costs a score."""

import io
from collections.abc import Callable
from uuid import UUID

import pytest
from PIL import Image
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.doubles import WatchedStore
from tests.uploads import NO_DELAY, scoring_states, send

from dermtriage.core.enums import Scoring, Severity
from dermtriage.core.errors import NotFound, Unavailable
from dermtriage.models import PendingHeatMap, PolicyVersion
from dermtriage.releases.queries import active_release
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending


@pytest.fixture
def runtime(start: Callable[..., Runtime]) -> Runtime:
    return start(scoring_batch=2)


def set_thresholds(sessions: sessionmaker[Session], **thresholds: float) -> None:
    """Change the thresholds of the active policy."""
    with sessions.begin() as session:
        session.execute(update(PolicyVersion).values(body=PolicyVersion.body.op("||")(thresholds)))


def severities(sessions: sessionmaker[Session], images: list[UUID]) -> list[Severity | None]:
    with sessions() as session:
        return [factories.image(session, image_id).severity for image_id in images]


def test_severe_photographs_get_a_heat_map(
    runtime: Runtime, sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID
) -> None:
    set_thresholds(sessions, lower=0.0, upper=0.0)
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
    set_thresholds(sessions, lower=0.0, upper=1.0)
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
    watched: WatchedStore,
) -> None:
    set_thresholds(sessions, lower=0.0, upper=0.0)
    images = send(sessions, store, clinic_id, 5)
    late: list[UUID] = []
    unscored: list[int] = []

    def send_more(method: str, _: UUID) -> None:
        if method != "put_heat_map":
            return
        if not late:
            late.extend(send(sessions, store, clinic_id, 1))
        unscored.append(sum(severity is None for severity in severities(sessions, images + late)))

    watched.before = send_more
    assert score_pending(runtime, images[0]) == 6
    # The one that came while the first map was made was scored before the second.
    assert unscored == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("broken", ["put_heat_map", "get_rendition"])
def test_a_map_that_fails_costs_no_score(
    broken: str,
    runtime: Runtime,
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    watched: WatchedStore,
) -> None:
    def fail(method: str, _: UUID) -> None:
        if method == broken:
            raise Unavailable("The image store cannot be reached.")

    set_thresholds(sessions, lower=0.0, upper=0.0)
    images = send(sessions, store, clinic_id, 3)
    watched.before = fail
    assert score_pending(runtime, images[0]) == 3
    assert scoring_states(sessions, images) == [Scoring.SCORED] * 3
    with pytest.raises(NotFound):
        store.get_heat_map(images[0], _release(sessions))


def test_maps_that_a_worker_left_are_drawn_by_the_next(
    start: Callable[..., Runtime],
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    watched: WatchedStore,
) -> None:
    set_thresholds(sessions, lower=0.0, upper=0.0)
    images = send(sessions, store, clinic_id, 3)
    stopped = start()

    def stop(method: str, _: UUID) -> None:
        if method == "put_heat_map":
            stopped.stopping.set()

    watched.before = stop
    assert score_pending(stopped, None) == 3
    assert len(waiting(sessions)) == 2
    assert score_pending(start(), None) == 0
    assert waiting(sessions) == {}
    for image_id in images:
        assert store.get_heat_map(image_id, _release(sessions))


def test_each_map_is_progress(
    runtime: Runtime, sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID
) -> None:
    set_thresholds(sessions, lower=0.0, upper=0.0)
    send(sessions, store, clinic_id, 4)
    score_pending(runtime, None)
    assert runtime.running.ended == 2 + 4, "the watchdog takes maps for a stall"


def test_a_map_that_cannot_be_drawn_is_given_up_and_the_others_are_drawn(
    runtime: Runtime,
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    watched: WatchedStore,
) -> None:
    set_thresholds(sessions, lower=0.0, upper=0.0)
    images = send(sessions, store, clinic_id, 3)
    attempts = []

    def fail(method: str, image_id: UUID) -> None:
        if method == "put_heat_map" and image_id == images[1]:
            attempts.append(image_id)
            raise ValueError("a broken picture")

    watched.before = fail
    assert score_pending(runtime, None) == 3
    assert waiting(sessions) == {}
    assert len(attempts) == 4
    for image_id in (images[0], images[2]):
        assert store.get_heat_map(image_id, _release(sessions))


def test_an_outage_costs_a_map_no_attempt(
    start: Callable[..., Runtime],
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    watched: WatchedStore,
) -> None:
    def fail(method: str, _: UUID) -> None:
        if method == "put_heat_map":
            raise Unavailable("The image store cannot be reached.")

    set_thresholds(sessions, lower=0.0, upper=0.0)
    images = send(sessions, store, clinic_id, 2)
    watched.before = fail
    runtime = start()
    for _ in range(5):
        score_pending(runtime, None)
    assert waiting(sessions) == dict.fromkeys(images, 0)


def test_a_map_whose_worker_died_is_drawn_while_the_process_does_nothing_else(
    start: Callable[..., Runtime],
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    watched: WatchedStore,
) -> None:
    class Crash(BaseException):
        """Ends the process: no worker catches it."""

    def crash(method: str, _: UUID) -> None:
        if method == "put_heat_map":
            raise Crash

    set_thresholds(sessions, lower=0.0, upper=0.0)
    (image_id,) = send(sessions, store, clinic_id, 1)
    watched.before = crash
    with pytest.raises(Crash):
        score_pending(start(lease_seconds=NO_DELAY), None)
    watched.before = lambda method, image_id: None
    runtime = start()
    assert score_pending(runtime, None) == 0
    assert runtime.isolation.tried == 1
    assert waiting(sessions) == {}
    assert store.get_heat_map(image_id, _release(sessions))


def waiting(sessions: sessionmaker[Session]) -> dict[UUID, int]:
    """Return the attempts of each map that waits."""
    with sessions() as session:
        return {row.image_id: row.attempts for row in session.scalars(select(PendingHeatMap))}


def _release(sessions: sessionmaker[Session]) -> str:
    with sessions() as session:
        return active_release(session).name

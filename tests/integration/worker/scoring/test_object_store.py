"""An object store behaves as a folder does, and a batch is loaded from it side by side."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import UUID, uuid4

import obstore
import pytest
from bench.object_store import BUCKET, object_store
from obstore.store import from_url
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker
from tests import runs
from tests.doubles import WatchedStore
from tests.uploads import LONG_DELAY, end_retry_delays, scoring_states, send

from dermtriage.core.enums import Scoring
from dermtriage.core.errors import NotFound, StoreMismatch, Unavailable
from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_sessions
from dermtriage.models import Image
from dermtriage.storage.identity import MARKER
from dermtriage.storage.image_store import ImageStore
from dermtriage.storage.pairing import set_pair
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending

DIGEST = hashlib.sha256(b"original").digest()
PICTURE = b"\xff\xd8picture\xff\xd9"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Mapping[str, str]]]:
    folder = tmp_path_factory.mktemp("object-store")
    with object_store(folder) as environment:
        yield folder / "buckets" / BUCKET, environment


@pytest.fixture
def settings(
    server: tuple[Path, Mapping[str, str]],
    settings: Settings,
    shared_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Settings of a system whose photographs lie in a bucket, below a prefix of this test."""
    _, environment = server
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    changed = settings.model_copy(update={"store_url": f"s3://{BUCKET}/{uuid4().hex}"})
    sessions = make_sessions(shared_engine)
    with sessions.begin() as session:
        set_pair(session, ImageStore.from_settings(changed, sessions))
    return changed


@pytest.fixture
def store(settings: Settings, sessions: sessionmaker[Session]) -> ImageStore:
    return ImageStore.from_settings(settings, sessions)


@pytest.fixture
def folder(server: tuple[Path, Mapping[str, str]], settings: Settings) -> Path:
    """The folder of this test's objects on the server."""
    bucket, _ = server
    return bucket / settings.store_url.rpartition("/")[2]


def files(folder: Path) -> set[str]:
    """Return the keys of all objects but the marker."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return found - {MARKER}


def test_what_is_put_can_be_read(store: ImageStore, folder: Path) -> None:
    image_id = UUID("01a20732-524f-7077-8f12-9c87b77180a6")
    store.put_original(image_id, b"original")
    store.put_rendition(image_id, b"earlier\xff\xd9")
    store.put_rendition(image_id, PICTURE)
    store.put_heat_map(image_id, "first", PICTURE)
    assert store.get_original(image_id, DIGEST) == b"original"
    assert store.get_rendition(image_id) == PICTURE
    assert store.get_heat_map(image_id, "first") == PICTURE
    assert files(folder) == {
        f"originals/a6/{image_id}",
        f"renditions/a6/{image_id}",
        f"heat_maps/a6/{image_id}/first",
    }
    assert [one.image_id for page in store.originals() for one in page] == [image_id]
    store.delete_original(image_id)
    store.delete_original(image_id)
    with pytest.raises(NotFound):
        store.get_original(image_id, DIGEST)


def test_a_store_without_its_marker_is_left_alone(
    settings: Settings, sessions: sessionmaker[Session], store: ImageStore, folder: Path
) -> None:
    store.put_original(new_id(), b"x")
    before = files(folder)
    obstore.delete(from_url(settings.store_url), MARKER)
    new = ImageStore.from_settings(settings, sessions)
    for act in (
        store.check,
        lambda: store.get_original(new_id(), DIGEST),
        # A marker that was read a moment ago is relied on for writing, unless one failed since.
        lambda: store.put_original(new_id(), b"x"),
        lambda: new.put_original(new_id(), b"x"),
        lambda: new.delete_original(new_id()),
    ):
        with pytest.raises(StoreMismatch):
            act()
    assert files(folder) == before


def test_an_original_is_put_into_quarantine_and_back(store: ImageStore, folder: Path) -> None:
    image_id = new_id()
    store.put_original(image_id, b"original")
    store.quarantine_original(image_id)
    assert files(folder) == {f"quarantine/{image_id.hex[-2:]}/{image_id}"}
    assert [one.image_id for page in store.quarantined() for one in page] == [image_id]
    store.restore_original(image_id)
    assert store.get_original(image_id, DIGEST) == b"original"


def test_a_missing_object_is_not_found(store: ImageStore) -> None:
    store.put_original(new_id(), b"another")
    for read in (
        lambda: store.get_original(new_id(), DIGEST),
        lambda: store.get_rendition(new_id()),
    ):
        with pytest.raises(NotFound) as missing:
            read()
        assert missing.value.code == "object_missing"


def test_a_check_leaves_nothing(store: ImageStore, folder: Path) -> None:
    store.check()
    assert files(folder) == set()


def test_a_server_that_does_not_answer_is_out_of_reach(
    settings: Settings, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:9")
    away = ImageStore.from_settings(settings.model_copy(update={"connect_timeout": 0.1}), sessions)
    for act in (
        away.check,
        lambda: away.put_original(new_id(), b"x"),
        lambda: away.get_rendition(new_id()),
    ):
        with pytest.raises(Unavailable) as error:
            act()
        assert error.value.code == "store_unavailable"


def meeting(method: str, *others: str, parties: int) -> Callable[[str, UUID], None]:
    """Wait in each of these methods of a store until threads have come to it."""
    barriers = {name: threading.Barrier(parties) for name in (method, *others)}

    def meet(name: str, _: UUID) -> None:
        if name in barriers:
            barriers[name].wait(30)

    return meet


def test_the_photographs_of_a_batch_travel_side_by_side(
    store: ImageStore,
    sessions: sessionmaker[Session],
    clinic_id: UUID,
    second: str,
    start: Callable[..., Runtime],
    watched: WatchedStore,
) -> None:
    """Uploads on their way from the store and back to it, and what is rescored."""
    batch = 4
    runtime = start(scoring_batch=batch)
    watched.before = meeting("get_original", "put_rendition", parties=batch)
    images = runs.receive_and_score(sessions, store, clinic_id, runtime, batch)

    watched.before = meeting("get_rendition", parties=batch)
    runs.activate_and_plan(sessions, second, size=batch)
    assert rescore(runtime) == batch
    with sessions() as session:
        for image_id in images:
            assert session.get_one(Image, image_id).scoring is Scoring.SCORED
            assert store.get_rendition(image_id)


def test_one_that_is_missing_fails_alone(
    store: ImageStore,
    sessions: sessionmaker[Session],
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    images = send(sessions, store, clinic_id, 3)
    store.delete_original(images[1])

    assert score_pending(start(max_attempts=1), None) == 2

    assert scoring_states(sessions, images) == [Scoring.SCORED, Scoring.FAILED, Scoring.SCORED]


def test_an_outage_in_the_middle_of_a_batch_costs_no_image_an_attempt(
    store: ImageStore,
    sessions: sessionmaker[Session],
    clinic_id: UUID,
    start: Callable[..., Runtime],
    watched: WatchedStore,
) -> None:
    send(sessions, store, clinic_id, 4)
    runtime = start(max_attempts=1, outage_delay=LONG_DELAY)
    fetched = iter(range(2))

    def fail_later(method: str, _: UUID) -> None:
        if method == "get_original" and next(fetched, None) is None:
            raise Unavailable("The image store cannot be reached.")

    watched.before = fail_later
    assert score_pending(runtime, None) == 0
    del watched.before
    end_retry_delays(sessions)
    assert score_pending(runtime, None) == 4

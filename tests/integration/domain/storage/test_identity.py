"""A store that is not the one of the database is neither written nor believed."""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session, sessionmaker
from tests.uploads import store_folder

from dermtriage.core.errors import StoreMismatch, Unavailable
from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings
from dermtriage.models import StoreIdentity
from dermtriage.storage.identity import MARKER
from dermtriage.storage.image_store import ImageStore
from dermtriage.storage.pairing import set_pair

Act = Callable[[ImageStore], object]

ACTS: dict[str, Act] = {
    "check": lambda store: store.check(),
    "put_original": lambda store: store.put_original(new_id(), b"x"),
    "put_rendition": lambda store: store.put_rendition(new_id(), b"x"),
    "put_heat_map": lambda store: store.put_heat_map(new_id(), "release", b"x"),
    "get_original": lambda store: store.get_original(new_id(), b""),
    "get_rendition": lambda store: store.get_rendition(new_id()),
    "delete_original": lambda store: store.delete_original(new_id()),
    "quarantine_original": lambda store: store.quarantine_original(new_id()),
    "originals": lambda store: list(store.originals()),
}

each = pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)


@pytest.fixture
def folder(settings: Settings) -> Path:
    return store_folder(settings)


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@each
def test_an_empty_mount_point_is_left_alone(store: ImageStore, folder: Path, act: Act) -> None:
    store.put_original(new_id(), b"x")
    away = folder.rename(folder.with_name("away"))
    folder.mkdir()
    with pytest.raises(StoreMismatch, match="mounted") as mismatch:
        act(store)
    assert mismatch.value.code == "store_mismatch"
    assert contents(folder) == set()
    folder.rmdir()
    away.rename(folder)
    store.check()


@each
def test_a_missing_folder_is_not_made(store: ImageStore, folder: Path, act: Act) -> None:
    folder.rename(folder.with_name("away"))
    with pytest.raises(Unavailable) as outage:
        act(store)
    assert outage.value.code == "store_unavailable"
    assert not folder.exists()


@each
@pytest.mark.parametrize("marker", ["", "no identity", str(UUID(int=1))])
def test_the_store_of_another_database_is_left_alone(
    store: ImageStore, folder: Path, act: Act, marker: str
) -> None:
    (folder / MARKER).write_text(marker)
    with pytest.raises(StoreMismatch):
        act(store)
    assert contents(folder) == {MARKER}


def test_a_database_that_was_never_paired_writes_to_no_store(
    store: ImageStore, sessions: sessionmaker[Session]
) -> None:
    with sessions.begin() as session:
        session.execute(delete(StoreIdentity))
    with pytest.raises(StoreMismatch, match="not been paired"):
        store.put_original(new_id(), b"x")


def test_a_photograph_is_written_to_the_disk_whose_marker_was_read(
    store: ImageStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if that disk is unmounted in between."""
    away = folder.with_name("away")
    sync = os.fsync

    def unmount(descriptor: int) -> None:
        if not away.exists():
            folder.rename(away)
            folder.mkdir()
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", unmount)
    image_id = new_id()
    store.put_original(image_id, b"x")
    assert contents(folder) == set()
    assert (away / "originals" / image_id.hex[-2:] / str(image_id)).read_bytes() == b"x"
    with pytest.raises(StoreMismatch):
        store.put_original(new_id(), b"x")


def test_a_process_finds_a_store_that_was_adopted_meanwhile(
    store: ImageStore, settings: Settings, sessions: sessionmaker[Session]
) -> None:
    store.check()
    with sessions.begin() as session:
        set_pair(session, ImageStore.from_settings(settings, sessions))
    store.put_original(new_id(), b"x")


def test_a_check_notices_that_the_database_is_another_one(
    store: ImageStore, sessions: sessionmaker[Session]
) -> None:
    store.check()
    with sessions.begin() as session:
        session.execute(delete(StoreIdentity))
        session.add(StoreIdentity(store_id=uuid4()))
    with pytest.raises(StoreMismatch, match="another database"):
        store.check()
    with pytest.raises(StoreMismatch):
        store.put_original(new_id(), b"x")

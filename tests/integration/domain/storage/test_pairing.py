"""A new database and an empty store get one identity; nothing else is paired by itself."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.uploads import store_folder

from dermtriage.core.errors import StoreMismatch, Unavailable
from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings
from dermtriage.models import StoreIdentity
from dermtriage.storage.identity import MARKER, stored_identity
from dermtriage.storage.image_store import ImageStore
from dermtriage.storage.pairing import Pair, examine_pair, pair_new_store, set_pair


@pytest.fixture
def folder(settings: Settings) -> Path:
    return store_folder(settings)


@pytest.fixture
def unpaired(store: ImageStore, folder: Path, sessions: sessionmaker[Session]) -> ImageStore:
    """A new store, and a database without a store."""
    (folder / MARKER).unlink()
    with sessions.begin() as session:
        session.execute(delete(StoreIdentity))
    return store


def pair(sessions: sessionmaker[Session], store: ImageStore) -> UUID | None:
    with sessions.begin() as session:
        return pair_new_store(session, store)


def test_a_new_pair_gets_one_identity_once(
    unpaired: ImageStore, folder: Path, sessions: sessionmaker[Session]
) -> None:
    identity = pair(sessions, unpaired)
    assert (folder / MARKER).read_text() == str(identity)
    with sessions() as session:
        assert stored_identity(session) == identity
    unpaired.check()
    assert pair(sessions, unpaired) is None
    assert (folder / MARKER).read_text() == str(identity)


def test_processes_that_pair_at_once_agree(
    unpaired: ImageStore, sessions: sessionmaker[Session]
) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: pair(sessions, unpaired), range(4)))
    assert len([identity for identity in made if identity]) == 1
    unpaired.check()


def test_a_database_with_images_is_not_paired_by_itself(
    unpaired: ImageStore, folder: Path, sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        factories.receive(session, clinic_id)
    with pytest.raises(StoreMismatch, match="has images"):
        pair(sessions, unpaired)
    assert not (folder / MARKER).exists()


def test_a_store_that_is_not_new_is_not_paired_by_itself(
    store: ImageStore, folder: Path, sessions: sessionmaker[Session]
) -> None:
    store.put_original(new_id(), b"x")
    with sessions.begin() as session:
        session.execute(delete(StoreIdentity))
    with pytest.raises(StoreMismatch, match="another database"):
        pair(sessions, store)
    (folder / MARKER).unlink()
    with pytest.raises(StoreMismatch, match="holds photographs"):
        pair(sessions, store)
    with sessions() as session:
        assert stored_identity(session) is None


def test_a_store_without_its_folder_is_not_paired(
    unpaired: ImageStore, folder: Path, sessions: sessionmaker[Session]
) -> None:
    folder.rmdir()
    with pytest.raises(Unavailable):
        pair(sessions, unpaired)
    assert not folder.exists()


def test_what_database_and_store_hold_of_each_other(
    store: ImageStore, sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, store=store, images=3)
        identity = stored_identity(session)
    store.delete_original(receipt.pending_image_ids[0])
    with sessions() as session:
        assert examine_pair(session, store) == Pair(identity, identity, sampled=3, present=2)
    with sessions.begin() as session:
        session.execute(delete(StoreIdentity))
    with sessions() as session:
        found = examine_pair(session, store)
    assert (found.in_database, found.in_store, found.matches) == (None, identity, False)
    with sessions.begin() as session:
        set_pair(session, store)
    with sessions() as session:
        assert examine_pair(session, store).matches

"""The orphan sweep moves old originals without a row into quarantine, and nothing else."""

import logging
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.uploads import store_folder

from dermtriage.core.clock import utcnow
from dermtriage.core.errors import StoreMismatch
from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings
from dermtriage.models import Image, PendingImage, StoreIdentity
from dermtriage.operations import metrics
from dermtriage.operations.orphan_sweep import ALWAYS_MOVED, Sweep, sweep_orphans
from dermtriage.storage.image_store import ImageStore

SweepNow = Callable[..., Sweep]


@pytest.fixture
def folder(settings: Settings) -> Path:
    return store_folder(settings)


@pytest.fixture
def sweep(sessions: sessionmaker[Session], store: ImageStore, settings: Settings) -> SweepNow:
    """Sweep as upkeep does, or some days later."""

    def run(*, days: float = 0, limited: bool = True) -> Sweep:
        now = utcnow() + timedelta(days=days)
        return sweep_orphans(sessions, store, settings, now=now, limited=limited)

    return run


def path_of(folder: Path, kind: str, image_id: UUID) -> Path:
    return folder / kind / image_id.hex[-2:] / str(image_id)


def old_orphans(store: ImageStore, folder: Path, count: int) -> list[UUID]:
    orphans = [new_id() for _ in range(count)]
    for image_id in orphans:
        store.put_original(image_id, b"an orphan")
        os.utime(path_of(folder, "originals", image_id), (0, 0))
    return orphans


def names(folder: Path, kind: str) -> set[str]:
    return {path.name for path in (folder / kind).rglob("*") if path.is_file()}


def test_only_old_originals_without_a_row_are_moved_and_deleted_much_later(
    sessions: sessionmaker[Session],
    store: ImageStore,
    folder: Path,
    clinic_id: UUID,
    sweep: SweepNow,
) -> None:
    with sessions.begin() as session:
        named = factories.receive(session, clinic_id, store=store).pending_image_ids[0]
    (old,) = old_orphans(store, folder, 1)
    young = new_id()
    store.put_original(young, b"an orphan")
    foreign = folder / "originals" / "README.txt"
    foreign.write_text("put there by somebody")
    for path in (foreign, path_of(folder, "originals", named)):
        os.utime(path, (0, 0))

    first = sweep()

    assert (first.moved, first.deleted, first.quarantined) == (1, 0, 1)
    assert names(folder, "originals") == {str(named), str(young), "README.txt"}
    assert names(folder, "quarantine") == {str(old)}
    assert sweep().moved == 0
    assert names(folder, "quarantine") == {str(old)}, "its time in quarantine began with the move"
    # By then the young one is old, and goes the same way.
    late = sweep(days=31)
    assert (late.moved, late.deleted, late.quarantined) == (1, 1, 1)
    assert names(folder, "quarantine") == {str(young)}
    assert names(folder, "originals") == {str(named), "README.txt"}


def test_a_foreign_database_sweeps_nothing(
    sessions: sessionmaker[Session], store: ImageStore, folder: Path, sweep: SweepNow
) -> None:
    orphans = old_orphans(store, folder, 3)
    with sessions.begin() as session:
        session.execute(delete(StoreIdentity))
    with pytest.raises(StoreMismatch):
        sweep(limited=False)
    with sessions.begin() as session:
        session.add(StoreIdentity(store_id=uuid4()))
    with pytest.raises(StoreMismatch):
        sweep(limited=False)
    assert names(folder, "originals") == {str(image_id) for image_id in orphans}
    assert not (folder / "quarantine").exists()


def test_too_many_orphans_stop_the_sweep_with_an_alarm(
    sessions: sessionmaker[Session],
    store: ImageStore,
    folder: Path,
    settings: Settings,
    sweep: SweepNow,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def alarm() -> int:
        with sessions() as session:
            return metrics.figures(session, now=utcnow(), settings=settings).refused_orphans

    (expired,) = old_orphans(store, folder, 1)
    sweep()
    os.utime(path_of(folder, "quarantine", expired), (0, 0))
    orphans = {str(image_id) for image_id in old_orphans(store, folder, ALWAYS_MOVED + 1)}

    refused = sweep()

    assert (refused.refused, refused.orphans, refused.moved, refused.deleted) == (True, 21, 0, 0)
    assert names(folder, "originals") == orphans
    assert names(folder, "quarantine") == {str(expired)}
    (record,) = [one for one in caplog.records if one.message == "too many orphans, none moved"]
    assert (record.levelno, vars(record)["orphans"]) == (logging.ERROR, 21)
    assert alarm() == 21
    # An operator who knows where they come from has them moved.
    assert sweep(limited=False).moved == 21
    assert names(folder, "originals") == set()
    assert alarm() == 0


def test_one_per_cent_of_a_large_store_may_be_moved(
    store: ImageStore, folder: Path, sweep: SweepNow
) -> None:
    for _ in range(100 * (ALWAYS_MOVED + 1)):
        image_id = new_id()
        path = path_of(folder, "originals", image_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    old_orphans(store, folder, ALWAYS_MOVED + 1)
    assert sweep().moved == ALWAYS_MOVED + 1
    old_orphans(store, folder, ALWAYS_MOVED + 2)
    assert sweep().refused


def test_an_original_in_quarantine_that_has_a_row_is_moved_back(
    sessions: sessionmaker[Session],
    store: ImageStore,
    folder: Path,
    clinic_id: UUID,
    sweep: SweepNow,
) -> None:
    with sessions.begin() as session:
        named = factories.receive(session, clinic_id, store=store).pending_image_ids[0]
    store.quarantine_original(named)
    assert sweep(days=31).restored == 1
    assert names(folder, "quarantine") == set()
    with sessions() as session:
        assert store.get_original(named, session.get_one(Image, named).sha256)
        assert session.get(PendingImage, named)

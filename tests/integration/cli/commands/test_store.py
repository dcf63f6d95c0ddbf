"""Adopting and sweeping an image store, and what the doctor says of it."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.uploads import store_folder
from typer.testing import CliRunner

from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings, get_settings
from dermtriage.models import AuditEntry
from dermtriage.operations.orphan_sweep import ALWAYS_MOVED
from dermtriage.storage.identity import MARKER, stored_identity
from dermtriage.storage.image_store import ImageStore
from dermtriage_cli.main import app

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def _environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    values = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "STORE_URL": settings.store_url,
        "RELEASES_DIR": str(settings.releases_dir),
        "DEFAULT_RELEASE": settings.default_release,
    }
    for name, value in values.items():
        monkeypatch.setenv(f"DERMTRIAGE_{name}", value)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def folder(settings: Settings) -> Path:
    return store_folder(settings)


def checks() -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(run(app, ["doctor", "--json"]).stdout)}


def test_a_restored_store_is_adopted(
    sessions: sessionmaker[Session], store: ImageStore, folder: Path
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, factories.clinic(session), store=store, images=3)
        before = stored_identity(session)
    assert str(before) in checks()["image store"]["detail"]
    store.delete_original(receipt.pending_image_ids[0])
    (folder / MARKER).unlink()
    broken = checks()["image store"]
    assert not broken["ok"]
    assert "no identity" in broken["detail"]
    assert str(before) in broken["detail"]
    assert "store adopt" in broken["remedy"]

    refused = run(app, ["store", "adopt"], input="n\n")
    assert refused.exit_code == 1
    assert "Of the 3 newest photographs of the database, the store holds 2." in refused.stdout
    assert not (folder / MARKER).exists()

    adopted = run(app, ["store", "adopt", "--yes", "--by", "Dr M."])
    assert adopted.exit_code == 0
    with sessions() as session:
        identity = stored_identity(session)
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "store.adopted"))
    assert (folder / MARKER).read_text() == str(identity)
    assert identity != before
    assert entry.detail == {
        "by": "Dr M.",
        "identity": str(identity),
        "identity_of_database": str(before),
        "identity_of_store": "None",
    }
    assert checks()["image store"]["ok"]
    again = run(app, ["store", "adopt", "--yes"])
    assert "paired already" in again.stdout
    assert (folder / MARKER).read_text() == str(identity)


def test_a_store_that_is_not_there_cannot_be_adopted(folder: Path) -> None:
    shutil.rmtree(folder)
    result = run(app, ["store", "adopt", "--yes"])
    assert result.exit_code == 1
    assert "cannot be opened" in result.stderr
    assert not folder.exists()


def test_a_sweep_that_stopped_is_shown_and_can_be_finished(store: ImageStore, folder: Path) -> None:
    def orphan() -> UUID:
        image_id = new_id()
        store.put_original(image_id, b"an orphan")
        os.utime(folder / "originals" / image_id.hex[-2:] / str(image_id), (0, 0))
        return image_id

    assert checks()["orphan sweep"]["detail"] == "has not run yet"
    count = ALWAYS_MOVED + 1
    orphans = [orphan() for _ in range(count)]
    stopped = run(app, ["store", "sweep"])
    assert stopped.exit_code == 1
    assert "None was moved" in stopped.stdout
    alarm = checks()["orphan sweep"]
    assert not alarm["ok"]
    assert f"{count} originals that belong to no case, among {count}," in alarm["detail"]
    assert "--without-limit" in alarm["remedy"]
    finished = run(app, ["store", "sweep", "--without-limit"])
    assert finished.exit_code == 0
    assert f"{count} moved into quarantine" in finished.stdout
    sweep = checks()["orphan sweep"]
    assert sweep["ok"]
    assert f"{count} in quarantine" in sweep["detail"]
    assert not any(store.has_original(image_id) for image_id in orphans)

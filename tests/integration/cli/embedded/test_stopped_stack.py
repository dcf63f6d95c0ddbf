"""The store of a stack in a folder: paired at the first start, adopted while the stack is down."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import select
from tests.conftest import RELEASE, Servers
from typer.testing import CliRunner

from dermtriage.core.errors import ConfigurationError, StoreMismatch
from dermtriage.core.settings import get_settings
from dermtriage.models import AuditEntry
from dermtriage.storage.identity import MARKER, stored_identity
from dermtriage_cli.database.stores import open_store
from dermtriage_cli.database.upgrade import upgrade_database
from dermtriage_cli.embedded.stack import Stack
from dermtriage_cli.embedded.stopped_stack import database_settings
from dermtriage_cli.main import app


@pytest.fixture
def data_dir(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a stack that has run before; PostgreSQL needs it outside of pytest's own."""
    monkeypatch.setenv("DERMTRIAGE_RELEASES_DIR", str(servers.releases))
    monkeypatch.setenv("DERMTRIAGE_DEFAULT_RELEASE", RELEASE)
    get_settings.cache_clear()
    with TemporaryDirectory(prefix="dermtriage-stack-") as name:
        folder = Path(name)
        (folder / "store").mkdir()
        (folder / "postgres").mkdir()
        with database_settings(folder) as settings:
            assert upgrade_database(settings).store_identity
        yield folder
    get_settings.cache_clear()


def test_a_stack_does_not_start_over_a_store_without_its_marker(data_dir: Path) -> None:
    marker = data_dir / "store" / MARKER
    marker.unlink()
    with pytest.raises(StoreMismatch, match="store adopt"), Stack(data_dir, port=0):
        pass
    assert not marker.exists()

    adopted = CliRunner().invoke(app, ["store", "adopt", "--yes", "--data-dir", str(data_dir)])

    assert adopted.exit_code == 0
    with (
        database_settings(data_dir) as settings,
        open_store(settings) as (sessions, store),
        sessions() as session,
    ):
        store.check()
        assert marker.read_text() == str(stored_identity(session))
        assert session.scalars(select(AuditEntry.action)).all() == ["store.adopted"]


def test_a_folder_without_a_stack_has_no_database(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="No stack runs in"),
        database_settings(tmp_path / "nothing"),
    ):
        pass
    assert not (tmp_path / "nothing").exists()

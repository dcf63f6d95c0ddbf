"""The data folder, and how commands find the stack that runs in it."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dermtriage.core.errors import ConfigurationError
from dermtriage.core.settings import get_settings
from dermtriage_cli.embedded.data_dir import DataDirectory, RunningStack, resolve_settings

RUNNING = RunningStack(
    pid=1,
    server_url="http://127.0.0.1:1",
    database_url="postgresql+psycopg://postgres@/dermtriage?host=/somewhere",
    redis_url="unix:///somewhere/redis.sock",
    store_url="file:///somewhere/store",
)


@pytest.fixture(autouse=True)
def _settings_read_anew() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_a_running_stack_is_found_and_forgotten_when_it_ends(tmp_path: Path) -> None:
    with DataDirectory(tmp_path) as directory:
        directory.announce(RUNNING)
        secret = directory.secret_key()
        settings = resolve_settings(tmp_path)
        assert settings.database_url == RUNNING.database_url
        assert settings.redis_url.get_secret_value() == RUNNING.redis_url
        assert settings.store_url == RUNNING.store_url
        assert settings.secret_key == secret
    with pytest.raises(ConfigurationError, match="No stack runs in"):
        resolve_settings(tmp_path)


def test_the_addresses_of_a_killed_stack_are_ignored(tmp_path: Path) -> None:
    with DataDirectory(tmp_path) as directory:
        directory.announce(RUNNING)
        left = (tmp_path / "stack.json").read_text()
    (tmp_path / "stack.json").write_text(left)
    assert DataDirectory(tmp_path).running() is None


def test_two_stacks_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        DataDirectory(tmp_path) as first,
        pytest.raises(ConfigurationError, match="already runs"),
        DataDirectory(tmp_path),
    ):
        pass
    first.announce(RUNNING)
    with DataDirectory(tmp_path):
        assert DataDirectory(tmp_path).running() == RUNNING


def test_the_secret_is_kept_and_private(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    first = directory.secret_key()
    assert directory.secret_key() == first == DataDirectory(tmp_path).secret_key()
    assert len(first.get_secret_value()) >= 32
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMTRIAGE_DATABASE_URL", "postgresql+psycopg://elsewhere/db")
    with DataDirectory(tmp_path) as directory:
        directory.announce(RUNNING)
        assert resolve_settings(tmp_path).database_url == "postgresql+psycopg://elsewhere/db"


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match="cannot be written"),
        DataDirectory(tmp_path / "file"),
    ):
        pass

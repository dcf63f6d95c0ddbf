"""How commands find the stack of a folder."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dermtriage.core.errors import ConfigurationError
from dermtriage.core.settings import get_settings
from dermtriage_cli.embedded.installation import Installation, Running, settings_of

RUNNING = Running(
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
    with Installation(tmp_path) as installation:
        installation.announce(RUNNING)
        secret = installation.secret_key()
        settings = settings_of(tmp_path)
        assert settings.database_url == RUNNING.database_url
        assert settings.redis_url.get_secret_value() == RUNNING.redis_url
        assert settings.store_url == RUNNING.store_url
        assert settings.secret_key == secret
    with pytest.raises(ConfigurationError, match="No stack runs in"):
        settings_of(tmp_path)


def test_what_a_killed_stack_left_behind_is_not_believed(tmp_path: Path) -> None:
    with Installation(tmp_path) as installation:
        installation.announce(RUNNING)
        left = (tmp_path / "stack.json").read_text()
    (tmp_path / "stack.json").write_text(left)
    assert Installation(tmp_path).running() is None


def test_two_stacks_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        Installation(tmp_path) as first,
        pytest.raises(ConfigurationError, match="already runs"),
        Installation(tmp_path),
    ):
        pass
    first.announce(RUNNING)
    with Installation(tmp_path):
        assert Installation(tmp_path).running() == RUNNING


def test_the_secret_is_kept_and_private(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    first = installation.secret_key()
    assert installation.secret_key() == first == Installation(tmp_path).secret_key()
    assert len(first.get_secret_value()) >= 32
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMTRIAGE_DATABASE_URL", "postgresql+psycopg://elsewhere/db")
    with Installation(tmp_path) as installation:
        installation.announce(RUNNING)
        assert settings_of(tmp_path).database_url == "postgresql+psycopg://elsewhere/db"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match="cannot be written"),
        Installation(tmp_path / "file"),
    ):
        pass

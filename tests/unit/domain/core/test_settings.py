"""Invalid settings are refused at the start, by name and without their values."""

import pytest
from pydantic import SecretStr, ValidationError

from dermtriage.core.errors import ConfigurationError
from dermtriage.core.settings import Settings, get_settings


@pytest.fixture(autouse=True)
def _fresh_settings() -> None:
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCORING_THREADS", "0"),
        ("SCORING_BATCH", "many"),
        ("MAX_ATTEMPTS", "0"),
        ("LEASE_SECONDS", "-1"),
        ("BODY_TIMEOUT", "soon"),
        ("TIMEZONE", "Europe/Atlantis"),
        ("TIMEZONE", "Europe"),
        ("TIMEZONE", "/etc/passwd"),
        ("INVARIANTS_AT", "25:00"),
        ("INVARIANTS_AT", "3:30"),
        ("LOG_LEVEL", "loud"),
        ("SECRET_KEY", "hunter2"),
    ],
)
def test_an_invalid_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"DERMTRIAGE_{name}", value)
    with pytest.raises(ConfigurationError, match=f"DERMTRIAGE_{name}") as refused:
        get_settings()
    assert refused.value.code == "configuration"
    assert refused.value.remedy


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMTRIAGE_SECRET_KEY", "hunter2")
    with pytest.raises(ConfigurationError) as refused:
        get_settings()
    assert "hunter2" not in str(refused.value)
    assert "a secret of the tests" not in repr(
        Settings(
            secret_key=SecretStr("a secret of the tests, long enough"),
            redis_url=SecretStr("redis://:a secret of the tests@host"),
        )
    )


def test_variables_are_read_once_per_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMTRIAGE_SCORING_BATCH", "7")
    monkeypatch.setenv("DERMTRIAGE_LOG_LEVEL", "WARNING")
    settings = get_settings()
    assert (settings.scoring_batch, settings.log_level) == (7, "warning")
    monkeypatch.setenv("DERMTRIAGE_SCORING_BATCH", "8")
    assert get_settings() is settings


def test_missing_settings_are_named() -> None:
    settings = Settings(database_url="postgresql+psycopg://host/name")
    settings.require("database_url")
    with pytest.raises(ConfigurationError) as refused:
        settings.require("database_url", "redis_url", "store_url")
    assert "DERMTRIAGE_REDIS_URL, DERMTRIAGE_STORE_URL" in str(refused.value)
    assert "DATABASE" not in str(refused.value)


@pytest.mark.parametrize("length", [1, 31])
def test_a_secret_key_is_long_or_absent(length: int) -> None:
    with pytest.raises(ValidationError):
        Settings(secret_key=SecretStr("x" * length))
    assert len(Settings(secret_key=SecretStr("x" * 32)).secret_key) == 32


def test_a_worker_is_slow_after_three_missed_heartbeats() -> None:
    assert Settings(heartbeat_seconds=4).slow_after == 12

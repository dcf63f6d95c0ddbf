"""Commands against a real database."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session, sessionmaker
from tests.conftest import TEMPLATE, Servers
from typer.testing import CliRunner

from dermtriage.accounts.clinics import authenticate_clinic
from dermtriage.accounts.sessions import log_in
from dermtriage.core.enums import Role
from dermtriage.core.settings import Settings, get_settings
from dermtriage.database.engine import make_engine, make_sessions
from dermtriage.releases.queries import active_policy, active_release
from dermtriage_cli.main import app

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def _environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    values = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "STORE_URL": settings.store_url,
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "RELEASES_DIR": str(settings.releases_dir),
        "DEFAULT_RELEASE": settings.default_release,
    }
    for name, value in values.items():
        monkeypatch.setenv(f"DERMTRIAGE_{name}", value)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def empty_database(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Settings]:
    """A database without a single table and an empty store, which the commands use."""
    name = f"empty_{uuid4().hex}"
    servers.sql(f"CREATE DATABASE {name}")
    monkeypatch.setenv(
        "DERMTRIAGE_DATABASE_URL", servers.database_url.replace(f"/{TEMPLATE}?", f"/{name}?")
    )
    (tmp_path / "new store").mkdir()
    monkeypatch.setenv("DERMTRIAGE_STORE_URL", (tmp_path / "new store").as_uri())
    get_settings.cache_clear()
    yield get_settings()
    servers.sql(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_clinics_key_works_until_it_is_revoked(
    sessions: sessionmaker[Session], settings: Settings
) -> None:
    added = run(app, ["clinic", "add", "Aldea Norte"])
    assert added.exit_code == 0
    key = added.stdout.splitlines()[-1]
    second = json.loads(run(app, ["clinic", "add", "Aldea Norte", "--json"]).stdout)
    secret = settings.secret_key.get_secret_value()
    with sessions() as session:
        for one in (key, second["api_key"]):
            _, name = authenticate_clinic(session, key=one, secret_key=secret)
            assert name == "Aldea Norte"

    (listed,) = json.loads(run(app, ["clinic", "list", "--json"]).stdout)
    assert len(listed["valid_keys"]) == 2
    assert key not in run(app, ["clinic", "list", "--json"]).output

    assert "2 keys" in run(app, ["clinic", "revoke", "Aldea Norte"]).stdout
    (listed,) = json.loads(run(app, ["clinic", "list", "--json"]).stdout)
    assert listed["valid_keys"] == []
    unknown = run(app, ["clinic", "revoke", "Nowhere"])
    assert unknown.exit_code == 1
    assert "no clinic named 'Nowhere'" in unknown.stderr


def test_a_clinician_logs_in_with_the_password_that_was_shown(
    sessions: sessionmaker[Session], settings: Settings
) -> None:
    added = run(app, ["clinician", "add", "m.okafor", "--name", "Dr M.", "--role", "lead"])
    assert added.exit_code == 0
    password = added.stdout.splitlines()[-1]
    log_in(
        sessions.begin,
        username="m.okafor",
        password=password,
        address="",
        secret_key=settings.secret_key.get_secret_value(),
        lifetime=60,
    )
    again = run(app, ["clinician", "add", "m.okafor"])
    assert again.exit_code == 1
    assert "is taken" in again.stderr
    assert run(app, ["clinician", "disable", "m.okafor"]).exit_code == 0
    (listed,) = json.loads(run(app, ["clinician", "list", "--json"]).stdout)
    assert listed["role"] == Role.LEAD
    assert listed["disabled"]


def test_a_password_may_be_chosen(sessions: sessionmaker[Session]) -> None:
    short = run(app, ["clinician", "add", "a", "--ask"], input="short\nshort\n")
    assert short.exit_code == 1
    assert "shorter than" in short.stderr
    chosen = "correct horse battery\n" * 2
    added = run(app, ["clinician", "add", "a", "--ask"], input=chosen)
    assert added.exit_code == 0
    assert "correct horse" not in added.output


def test_a_new_database_gets_tables_release_and_policy(empty_database: Settings) -> None:
    first = run(app, ["db", "upgrade"])
    assert first.exit_code == 0
    assert "Release tiny is active" in first.stdout
    assert "image store are paired" in first.stdout
    engine = make_engine(empty_database)
    with make_sessions(engine)() as session:
        assert active_release(session).name == "tiny"
        version, policy = active_policy(session)
        assert (policy.lower, policy.upper) == (0.3, 0.6)
    again = run(app, ["db", "upgrade"])
    assert again.exit_code == 0
    assert "is active" not in again.stdout
    assert "paired" not in again.stdout
    with make_sessions(engine)() as session:
        assert active_policy(session)[0] == version
    engine.dispose()


def test_the_doctor_finds_what_is_missing() -> None:
    result = run(app, ["doctor", "--json"])
    assert result.exit_code == 1
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert {name for name, check in checks.items() if not check["ok"]} == {"worker"}
    assert checks["worker"]["remedy"]


def test_the_doctor_finds_what_is_broken(
    empty_database: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DERMTRIAGE_REDIS_URL", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("DERMTRIAGE_DEFAULT_RELEASE", "none")
    get_settings.cache_clear()
    checks = {check["name"]: check for check in json.loads(run(app, ["doctor", "--json"]).stdout)}
    broken = {name for name, check in checks.items() if not check["ok"]}
    assert broken == {"release", "database", "Redis", "image store"}
    assert "worker" not in checks
    assert "db upgrade" in checks["database"]["remedy"]

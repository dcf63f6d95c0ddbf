"""One database that the tests of this folder use in turn, and accounts that most of them need.

Making a database takes longer than most of these tests run, wiping one does not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Engine, make_url
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE, TEMPLATE, Servers, install

from dermtriage.db import Base, make_engine, make_sessions
from dermtriage.settings import Settings


@contextmanager
def database_of_its_own(servers: Servers) -> Iterator[str]:
    """Make a database from the template and yield its URL."""
    name = f"test_{uuid4().hex}"
    servers.sql(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY wal_log")
    yield servers.database_url.replace(f"/{TEMPLATE}?", f"/{name}?")
    servers.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def shared_database(servers: Servers) -> Iterator[str]:
    with database_of_its_own(servers) as url:
        yield url


@pytest.fixture(scope="session")
def shared_engine(shared_database: str) -> Iterator[Engine]:
    """One engine for all, since each has to learn its statements anew."""
    engine = make_engine(Settings(database_url=shared_database, database_pool_size=8))
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def janitor(shared_database: str) -> Iterator[psycopg.Connection]:
    url = make_url(shared_database)
    with psycopg.connect(
        host=str(url.query["host"]), user=url.username, dbname=url.database, autocommit=True
    ) as connection:
        yield connection


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings of an empty database and an empty store, with the tiny release installed.

    Tests in the folders below stop, damage or fill their database: each has one of its own.
    """
    if request.path.parent != Path(__file__).parent:
        yield request.getfixturevalue("settings")
        return
    servers: Servers = request.getfixturevalue("servers")
    engine: Engine = request.getfixturevalue("shared_engine")
    janitor: psycopg.Connection = request.getfixturevalue("janitor")
    yield Settings(
        database_url=engine.url.render_as_string(hide_password=False),
        redis_url=servers.redis_url,
        store_url=(tmp_path / "store").as_uri(),
        secret_key="a secret of the tests, long enough",
        releases_dir=servers.releases,
        default_release=RELEASE,
        device="cpu",
        database_pool_size=8,
    )
    _wipe(janitor)
    with make_sessions(engine).begin() as session:
        install(session, servers.releases / RELEASE)


@pytest.fixture
def sessions(request: pytest.FixtureRequest, settings: Settings) -> sessionmaker[Session]:
    if request.path.parent != Path(__file__).parent:
        return cast(sessionmaker[Session], request.getfixturevalue("sessions"))
    return make_sessions(request.getfixturevalue("shared_engine"))


def _wipe(janitor: psycopg.Connection) -> None:
    # What a test left open must not hold the next one's rows.
    janitor.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
    )
    tables = [table.name for table in reversed(Base.metadata.sorted_tables)]
    janitor.execute("; ".join(f"DELETE FROM {name}" for name in tables).encode())


@pytest.fixture
def session(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """A session whose transaction nobody else sees and nothing remains of."""
    with sessions() as session:
        yield session
        session.rollback()


@pytest.fixture
def clinic_id(sessions: sessionmaker[Session]) -> UUID:
    with sessions.begin() as session:
        return factories.clinic(session, "Aldea Norte")


@pytest.fixture
def clinician_id(sessions: sessionmaker[Session]) -> UUID:
    with sessions.begin() as session:
        return factories.clinician(session, "m.okafor")


@pytest.fixture
def colleague_id(sessions: sessionmaker[Session]) -> UUID:
    with sessions.begin() as session:
        return factories.clinician(session, "j.silva")

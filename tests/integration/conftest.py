"""One database that these tests use in turn, and accounts that most of them need.

Making a database takes longer than most of these tests run, wiping one does not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import make_url
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


@pytest.fixture
def settings(servers: Servers, shared_database: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings of an empty database and an empty store, with the tiny release installed."""
    settings = Settings(
        database_url=shared_database,
        redis_url=servers.redis_url,
        store_url=(tmp_path / "store").as_uri(),
        secret_key="a secret of the tests, long enough",
        releases_dir=servers.releases,
        default_release=RELEASE,
        device="cpu",
        database_pool_size=8,
    )
    yield settings
    _wipe(settings)


def _wipe(settings: Settings) -> None:
    url = make_url(settings.database_url)
    host = url.query["host"]
    with psycopg.connect(
        host=str(host), user=url.username, dbname=url.database, autocommit=True
    ) as connection:
        # A connection that a test left behind must not hold the next one's rows.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        tables = reversed(Base.metadata.sorted_tables)
        connection.execute("; ".join(f"DELETE FROM {table.name}" for table in tables).encode())
    engine = make_engine(settings)
    with make_sessions(engine).begin() as session:
        install(session, settings.releases_dir / RELEASE)
    engine.dispose()


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

"""One database that the tests of this folder use in turn, and accounts that most of them need.

Making a database takes longer than most of these tests run, wiping one does not.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Engine, make_url
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE, Servers, install, make_store
from tests.doubles import EnsembleLoader, WatchedStore
from tests.uploads import NO_DELAY

from dermtriage.core.settings import Settings
from dermtriage.database.base import Base
from dermtriage.database.engine import make_engine, make_sessions
from dermtriage.releases.activation import add_release
from dermtriage_worker.ensemble.manifest_file import manifest_sha256, read_manifest
from dermtriage_worker.ensemble.tiny import build_tiny_release
from dermtriage_worker.scoring.runtime import Runtime


def _has_own_database(request: pytest.FixtureRequest) -> bool:
    """Tests of API and CLI stop, damage or fill their database: each has one of its own."""
    return request.path.relative_to(Path(__file__).parent).parts[0] in {"api", "cli"}


@pytest.fixture(scope="session")
def shared_database(servers: Servers) -> Iterator[str]:
    with servers.new_database() as url:
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
    """Settings of an empty database and an empty store, with the tiny release installed."""
    if _has_own_database(request):
        yield request.getfixturevalue("settings")
        return
    servers: Servers = request.getfixturevalue("servers")
    engine: Engine = request.getfixturevalue("shared_engine")
    janitor: psycopg.Connection = request.getfixturevalue("janitor")
    url = engine.url.render_as_string(hide_password=False)
    settings = servers.settings(url, tmp_path / "store")
    make_store(settings, make_sessions(engine))
    yield settings
    _wipe(janitor)
    with make_sessions(engine).begin() as session:
        install(session, servers.releases / RELEASE)


@pytest.fixture
def sessions(request: pytest.FixtureRequest, settings: Settings) -> sessionmaker[Session]:
    if _has_own_database(request):
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


@pytest.fixture
def ensembles() -> EnsembleLoader:
    """What loads the releases of the workers that `start` starts."""
    return EnsembleLoader()


@pytest.fixture
def watched(settings: Settings, sessions: sessionmaker[Session]) -> WatchedStore:
    """The store of the workers that `start` starts."""
    return cast(WatchedStore, WatchedStore.from_settings(settings, sessions))


@pytest.fixture
def start(
    settings: Settings, ensembles: EnsembleLoader, watched: WatchedStore
) -> Iterator[Callable[..., Runtime]]:
    """Start workers, within this process, that do not rest after a failure."""
    started = []

    def run(kind: type[Runtime] = Runtime, **changes: Any) -> Runtime:
        fields = {"outage_delay": NO_DELAY, "scoring_threads": 1, "rescore_chunk": 3} | changes
        changed = settings.model_copy(update=fields)
        started.append(kind(changed, store=watched, load=ensembles))
        return started[-1]

    yield run
    for runtime in started:
        runtime.sessions.kw["bind"].dispose()


@pytest.fixture
def releases(settings: Settings, tmp_path: Path) -> Path:
    """A folder with the installed release, to which a test may add others, or do harm."""
    folder = tmp_path / "releases"
    shutil.copytree(settings.releases_dir / RELEASE, folder / RELEASE)
    return folder


@pytest.fixture
def second(settings: Settings, sessions: sessionmaker[Session]) -> str:
    """A second real release, known to the database."""
    name = f"second-{uuid4().hex[:8]}"
    folder = settings.releases_dir / name
    build_tiny_release(folder, seed=7)
    with sessions.begin() as session:
        add_release(
            session,
            name=name,
            manifest=read_manifest(folder).model_dump(mode="json"),
            sha256=bytes.fromhex(manifest_sha256(folder)),
        )
    return name

"""Real servers for the tests: PostgreSQL and Redis of our own, never one that is configured."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.settings import Settings, get_settings
from dermtriage.database.engine import make_engine, make_sessions
from dermtriage.database.migrations import upgrade
from dermtriage.releases.activation import install_release
from dermtriage.storage.image_store import ImageStore
from dermtriage.storage.pairing import pair_new_store
from dermtriage_cli.embedded.postgres import EmbeddedPostgres
from dermtriage_cli.embedded.redis import EmbeddedRedis
from dermtriage_worker.ensemble.manifest_file import manifest_sha256, read_manifest
from dermtriage_worker.ensemble.tiny import build_tiny_release

TEMPLATE = "dermtriage"
RELEASE = "tiny"


@dataclass(frozen=True)
class Servers:
    """The servers of one test process, and a migrated database to copy."""

    database_url: str
    redis: EmbeddedRedis
    redis_url: str
    releases: Path

    def sql(self, statement: str) -> None:
        """Run a statement outside any of the databases under test."""
        host = self.database_url.split("?host=")[1]
        with psycopg.connect(
            host=host, user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """Make a migrated database with the tiny release, and yield its URL."""
        name = f"test_{uuid4().hex}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        yield self.database_url.replace(f"/{TEMPLATE}?", f"/{name}?")
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def settings(self, database_url: str, store: Path) -> Settings:
        """Return the settings of a system on these servers."""
        return Settings(
            database_url=database_url,
            redis_url=self.redis_url,
            store_url=store.as_uri(),
            secret_key="a secret of the tests, long enough",
            releases_dir=self.releases,
            default_release=RELEASE,
            device="cpu",
            database_pool_size=8,
        )


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    for name in [name for name in os.environ if name.startswith("DERMTRIAGE_")]:
        if name != "DERMTRIAGE_DATA":
            del os.environ[name]
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="dermtriage-tests-"))
    postgres, redis = EmbeddedPostgres(folder / "postgres"), EmbeddedRedis(folder / "redis")
    try:
        database_url, redis_url = postgres.start(), redis.start()
        releases = folder / "releases"
        build_tiny_release(releases / RELEASE)
        settings = Settings(database_url=database_url)
        upgrade(settings)
        engine = make_engine(settings)
        with make_sessions(engine).begin() as session:
            install(session, releases / RELEASE)
        engine.dispose()
        yield Servers(database_url, redis, redis_url, releases)
    finally:
        redis.stop()
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def install(session: Session, folder: Path) -> None:
    """Install a release with the policy it proposes."""
    manifest = read_manifest(folder)
    install_release(
        session,
        name=folder.name,
        manifest=manifest.model_dump(mode="json"),
        sha256=bytes.fromhex(manifest_sha256(folder)),
        policy=manifest.thresholds.policy(),
    )


def make_store(settings: Settings, sessions: sessionmaker[Session]) -> None:
    """Make the folder of the store, and pair it with its database."""
    Path(settings.store_url.removeprefix("file://")).mkdir()
    with sessions.begin() as session:
        pair_new_store(session, ImageStore.from_settings(settings, sessions))


@pytest.fixture
def settings(servers: Servers, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a database of the test's own, an empty store and the shared Redis."""
    with servers.new_database() as url:
        settings = servers.settings(url, tmp_path / "store")
        engine = make_engine(settings)
        make_store(settings, make_sessions(engine))
        engine.dispose()
        yield settings


@pytest.fixture
def sessions(settings: Settings) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(settings)
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def store(settings: Settings, sessions: sessionmaker[Session]) -> ImageStore:
    return ImageStore.from_settings(settings, sessions)

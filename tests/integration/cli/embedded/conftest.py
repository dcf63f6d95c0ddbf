"""Embedded servers of a test's own, and what tests do to them."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from dermtriage_cli.embedded.postgres import EmbeddedPostgres
from dermtriage_cli.embedded.redis import EmbeddedRedis


def connect(url: str) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def add_server(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the test's own, outside of pytest's.

    As root, PostgreSQL runs under another account, from which pytest locks its folder whenever
    another run begins.
    """
    with TemporaryDirectory(prefix="dermtriage-servers-") as name:
        yield Path(name)


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder / "postgres")
    yield server
    server.stop()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path / "redis")
    yield server
    server.stop()

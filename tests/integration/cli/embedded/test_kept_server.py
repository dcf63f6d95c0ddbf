"""A server that dies is started again, or the error says which one was lost."""

import os
import signal
import time
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.integration.cli.embedded.conftest import add_server, connect

from dermtriage.core.errors import ConfigurationError
from dermtriage_cli.embedded.kept_server import KeptServer
from dermtriage_cli.embedded.postgres import EmbeddedPostgres
from dermtriage_cli.embedded.redis import EmbeddedRedis
from dermtriage_cli.embedded.shutdown_signals import orderly_shutdown, wait_for_shutdown
from dermtriage_cli.embedded.supervisor import Supervisor


@pytest.mark.parametrize("name", ["postgres", "redis_server"])
def test_a_server_that_dies_is_started_again(name: str, request: pytest.FixtureRequest) -> None:
    server: EmbeddedPostgres | EmbeddedRedis = request.getfixturevalue(name)
    url = server.start()
    supervisor = Supervisor([], [KeptServer("The server", server)])
    supervisor.start()
    try:
        before = process_of(url)
        os.kill(before, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while not (after := process_of(url)) or after == before:
            supervisor.check()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        supervisor.stop()


def process_of(url: str) -> int:
    """Return the process id of the server that answers; 0 if none does."""
    try:
        if url.startswith("unix:"):
            with redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
                return int(client.info("server")["process_id"])
        with connect(url) as connection:
            row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
            assert row is not None
            return int(str(row[0]).partition("\n")[0])
    except (redis.ConnectionError, psycopg.OperationalError):
        return 0


def test_a_server_that_cannot_be_started_again_is_an_error_that_names_it(
    redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pid = process_of(redis_server.start())
    supervisor = Supervisor([], [KeptServer("Redis", redis_server)])
    add_server(tmp_path, "valkey-server", "echo v=99.0 out of luck; exit 3")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    supervisor.start()
    try:
        os.kill(pid, signal.SIGKILL)
        with (
            orderly_shutdown(),
            pytest.raises(ConfigurationError, match=r"(?s)Redis .*out of luck"),
        ):
            wait_for_shutdown(supervisor.check_servers)
    finally:
        supervisor.stop()


def test_a_server_that_dies_again_and_again_is_an_error(redis_server: EmbeddedRedis) -> None:
    url = redis_server.start()
    now = 1000.0
    kept = KeptServer("Redis", redis_server, clock=lambda: now)

    def die() -> None:
        os.kill(process_of(url), signal.SIGKILL)
        while redis_server.exit_status() is None:
            time.sleep(0.01)

    # After a long life, earlier deaths do not count.
    for lived in (1.0, 1.0, 3600.0, 1.0):
        now += lived
        die()
        kept.ensure_running()
        assert process_of(url)
    die()
    with pytest.raises(ConfigurationError, match="Redis ends again and again"):
        kept.ensure_running()

"""Commands in the Compose file work: the start of Redis, and the health checks."""

import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from redis.exceptions import AuthenticationError
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.settings import Settings
from dermtriage.scoring import workers
from dermtriage_cli.embedded.server_binaries import redis_binary
from dermtriage_worker.upkeep.watchdog import ALIVE

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]


def probe(name: str) -> str:
    """Return the Python of a health check."""
    *command, code = SERVICES[name]["healthcheck"]["test"]
    assert command == ["CMD", "python", "-c"]
    return str(code)


def passes(code: str, **environment: str) -> bool:
    """Return whether a health check finds its process healthy."""
    process = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return process.returncode == 0


@pytest.fixture
def composed_redis(tmp_path: Path) -> Iterator[str]:
    """Run the command of the Compose file with a Redis of our own; yield its socket."""
    path = tmp_path / "redis.sock"
    stand_in = tmp_path / "redis-server"
    options = f"--port 0 --unixsocket {path} --dir {tmp_path}"
    stand_in.write_text(f'#!/bin/sh\nexec {shlex.quote(str(redis_binary()))} "$@" {options}\n')
    stand_in.chmod(0o755)
    command = [part.replace("$$", "$") for part in SERVICES["redis"]["command"]]
    process = subprocess.Popen(
        command,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDISCLI_AUTH": "secret of the tests"},
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while not path.exists():
            assert process.poll() is None, "Redis does not start with this command"
            assert time.monotonic() < deadline, "Redis does not open its socket"
            os.sched_yield()
        yield str(path)
    finally:
        process.terminate()
        assert process.wait(20) == 0, "Redis itself must receive SIGTERM"


def test_redis_starts_with_password_append_only_file_and_no_eviction(composed_redis: str) -> None:
    with pytest.raises(AuthenticationError):
        redis.Redis(unix_socket_path=composed_redis).ping()
    client = redis.Redis(
        unix_socket_path=composed_redis, password="secret of the tests", decode_responses=True
    )
    wanted = {"appendonly": "yes", "maxmemory-policy": "noeviction"}
    assert {name: client.config_get(name)[name] for name in wanted} == wanted


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_a_worker_is_healthy_while_it_has_a_recent_heartbeat(
    settings: Settings, sessions: sessionmaker[Session], name: str
) -> None:
    environment = {"DERMTRIAGE_DATABASE_URL": settings.database_url}
    assert not passes(probe(name), **environment)
    here = {"pid": 1, "slots": 2, "device": "cpu", "release": "tiny"}
    with sessions.begin() as session:
        workers.register_worker(session, hostname="another-host", **here)
    assert not passes(probe(name), **environment)
    with sessions.begin() as session:
        workers.register_worker(session, hostname=socket.gethostname(), **here)
    assert passes(probe(name), **environment)


def test_a_worker_is_not_healthy_without_its_database() -> None:
    url = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    assert not passes(probe("worker"), DERMTRIAGE_DATABASE_URL=url)


def test_upkeep_is_healthy_while_its_watchdog_finds_it_alive(tmp_path: Path) -> None:
    environment = {"TMPDIR": str(tmp_path)}
    assert not passes(probe("upkeep"), **environment)
    alive = tmp_path / ALIVE.name
    alive.touch()
    assert passes(probe("upkeep"), **environment)
    long_ago = time.time() - 60
    os.utime(alive, (long_ago, long_ago))
    assert not passes(probe("upkeep"), **environment)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_api_is_healthy_while_it_reports_that_it_is_ready(status: int, healthy: bool) -> None:
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code = probe("api").replace(":8000/", f":{server.server_port}/")
        assert passes(code) is healthy
        server.shutdown()
    assert asked == ["/readyz"]

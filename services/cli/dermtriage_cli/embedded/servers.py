"""PostgreSQL and Redis out of wheels, as child processes that listen on Unix sockets alone."""

import os
import pwd
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dermtriage.core.errors import ConfigurationError
from dermtriage_cli.embedded.hosting import (
    let_pass,
    let_read,
    postgres_account,
    postgres_binaries,
    redis_binary,
    socket_folder,
)
from dermtriage_cli.embedded.processes import Child, tail

DATABASE = "dermtriage"
SUPERUSER = "postgres"
START_TIMEOUT = 30.0
"""Seconds that a server has to come up; a database that crashed replays its log in this time."""


class EmbeddedPostgres:
    """A PostgreSQL cluster below `data_dir`; started again, it serves the same data.

    Parameters
    ----------
    data_dir
        Folder of this server alone; made when missing.
    log
        Where the server writes; ``data_dir/server.log`` by default.
    """

    def __init__(self, data_dir: Path, *, log: Path | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.log = log or self.data_dir / "server.log"
        self._cluster = self.data_dir / "cluster"
        self._sockets: Path | None = None
        self._child: Child | None = None

    def start(self) -> str:
        """Start the server, on a new cluster when there is none, and return SQLAlchemy's URL.

        Raises
        ------
        ConfigurationError
            If the server's wheel is missing, or the server does not come up.
        """
        binaries = postgres_binaries()
        self._cluster.mkdir(parents=True, exist_ok=True)
        account = postgres_account(self._cluster)
        self._sockets = sockets = socket_folder(self.data_dir, "pg", account)
        if account:
            os.chown(self._cluster, account.pw_uid, account.pw_gid)
            let_pass(self._cluster)
            let_read(binaries.parents[1])
        if not (self._cluster / "PG_VERSION").exists():
            self._create_cluster(binaries, account)
        deadline = time.monotonic() + START_TIMEOUT
        while not self._try_to_start(binaries, sockets, account, deadline):
            # A server that the last owner of the folder left behind still holds it; the guard
            # is ending it.
            time.sleep(0.2)
        return f"postgresql+psycopg://{SUPERUSER}@/{DATABASE}?host={sockets}"

    def stop(self) -> None:
        """End all connections and stop; the data stays. Nothing happens when not started."""
        if self._child:
            self._child.stop()
            self._child = None
            _remove_empty(self._sockets)

    def kill(self) -> None:
        """Kill the server as a crash would."""
        if self._child:
            self._child.kill()
            self._child = None

    def _create_cluster(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        # Neither the locale nor the time zone of the machine decides how the data sorts or reads.
        options = ["--no-locale", "--encoding=UTF8", f"--username={SUPERUSER}", "--auth=trust"]
        maker = Child(
            [binaries / "initdb", *options, "--pgdata", self._cluster],
            log=self.log,
            account=account,
        )
        deadline = time.monotonic() + 2 * START_TIMEOUT
        while (status := maker.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if status != 0:
            maker.kill()
            # A half-made cluster would be taken for a whole one the next time.
            shutil.rmtree(self._cluster, ignore_errors=True)
            raise ConfigurationError(
                f"PostgreSQL could not make a database: {tail(self.log)}",
                remedy=f"See {self.log}.",
            )

    def _try_to_start(
        self, binaries: Path, sockets: Path, account: pwd.struct_passwd | None, deadline: float
    ) -> bool:
        """Start the server; False if another one still holds the folder and time is left."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
        }
        self._child = child = Child(
            [
                binaries / "postgres",
                "-D",
                self._cluster,
                *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
            ],
            log=self.log,
            # "Fast" shutdown: it ends connections instead of waiting for them.
            stop_signal=signal.SIGINT,
            account=account,
        )
        while child.poll() is None and time.monotonic() < deadline:
            try:
                # Another server on this folder would answer on the same socket.
                if self._owner() == child.pid:
                    _create_database(sockets)
                    return True
            except psycopg.OperationalError:
                pass
            time.sleep(0.02)
        self.kill()
        held = self._owner() not in {None, child.pid}
        if held and time.monotonic() < deadline:
            return False
        raise ConfigurationError(
            f"PostgreSQL did not start: {tail(self.log)}",
            remedy=(
                "Stop the other server that uses this folder, or choose another --data-dir."
                if held
                else f"See {self.log}."
            ),
        )

    def _owner(self) -> int | None:
        """Return the process that holds the cluster, as its lock file says."""
        try:
            return int((self._cluster / "postmaster.pid").read_text().partition("\n")[0])
        except (FileNotFoundError, ValueError):
            return None


class EmbeddedRedis:
    """A Redis server with its append-only file in `data_dir`.

    Parameters
    ----------
    data_dir
        Folder of this server alone; made when missing.
    log
        Where the server writes; ``data_dir/server.log`` by default.
    """

    def __init__(self, data_dir: Path, *, log: Path | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.log = log or self.data_dir / "server.log"
        self._sockets: Path | None = None
        self._child: Child | None = None

    def start(self) -> str:
        """Start the server and return its URL, the same at every start.

        Raises
        ------
        ConfigurationError
            If no Redis is found, or it does not come up.
        """
        binary = redis_binary()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._sockets = socket_folder(self.data_dir, "redis", None)
        path = self._sockets / "redis.sock"
        options = {
            "port": "0",
            "unixsocket": str(path),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "appendonly": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        deadline = time.monotonic() + START_TIMEOUT
        self._wait_until_free(path, deadline)
        self._child = child = Child(
            [binary, *(part for key, value in options.items() for part in (f"--{key}", value))],
            log=self.log,
        )
        while child.poll() is None and time.monotonic() < deadline:
            if _answers(path):
                return f"unix://{path}?db=0"
            time.sleep(0.02)
        self.kill()
        raise ConfigurationError(
            f"Redis did not start: {tail(self.log)}", remedy=f"See {self.log}."
        )

    def _wait_until_free(self, path: Path, deadline: float) -> None:
        # Two servers would write one file. One that its last owner left behind is being ended
        # by the guard.
        while _answers(path):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"Another Redis uses {self.data_dir}.",
                    remedy="Stop the other server that uses this folder, or choose another"
                    " --data-dir.",
                )
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop in order; queued messages stay in the folder. Nothing happens when not started."""
        if self._child:
            self._child.stop()
            self._child = None
            _remove_empty(self._sockets)

    def kill(self) -> None:
        """Kill the server as a crash would."""
        if self._child:
            self._child.kill()
            self._child = None


def _remove_empty(folder: Path | None) -> None:
    # A server that was killed leaves its socket behind; the next start takes it over.
    if folder:
        with suppress(OSError):
            folder.rmdir()


def _answers(path: Path) -> bool:
    """Whether a Redis serves at the socket; not yet while it reads its file."""
    try:
        with redis.Redis(
            unix_socket_path=str(path), socket_timeout=1, retry=Retry(NoBackoff(), 0)
        ) as client:
            return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
        return False


def _create_database(sockets: Path) -> None:
    with psycopg.connect(
        host=str(sockets), user=SUPERUSER, dbname=SUPERUSER, autocommit=True
    ) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if known.fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")

"""PostgreSQL from an installed wheel, as a child process that listens on a Unix socket alone."""

import os
import pwd
import shutil
import signal
import time
from pathlib import Path
from tempfile import mkdtemp

import psycopg

from dermtriage.core.errors import ConfigurationError
from dermtriage_cli.embedded.child_process import ChildProcess, tail
from dermtriage_cli.embedded.permissions import (
    allow_running,
    allow_traversal,
    postgres_account,
    remove_if_empty,
    socket_folder,
)
from dermtriage_cli.embedded.server_binaries import postgres_binaries

DATABASE = "dermtriage"
SUPERUSER = "postgres"
START_TIMEOUT = 30.0
DRAFT = "cluster-"
"""Prefix of the folders in which clusters are created."""


class EmbeddedPostgres:
    """A PostgreSQL server with its cluster in `data_dir`; a restart serves the same data.

    Parameters
    ----------
    data_dir
        Folder for this server alone; created if missing.
    log
        Where the server writes; ``data_dir/server.log`` by default.
    start_timeout
        Seconds that the server may take to start; after a crash it first replays its log.
    """

    def __init__(
        self, data_dir: Path, *, log: Path | None = None, start_timeout: float = START_TIMEOUT
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.log = log or self.data_dir / "server.log"
        self._cluster = self.data_dir / "cluster"
        self._start_timeout = start_timeout
        self._sockets: Path | None = None
        self._child: ChildProcess | None = None

    def start(self) -> str:
        """Start the server, create the cluster if none exists, and return SQLAlchemy's URL.

        Raises
        ------
        ConfigurationError
            If the server's wheel is not installed, or the server does not start.
        """
        binaries = postgres_binaries()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        account = postgres_account(self._cluster)
        self._sockets = sockets = socket_folder(self.data_dir, "pg", account)
        if account:
            allow_traversal(self._cluster)
            allow_running(binaries.parents[1])
        if not self._cluster.exists():
            self._create_cluster(binaries, account)
        deadline = time.monotonic() + self._start_timeout
        while not self._try_to_start(binaries, sockets, account, deadline):
            # The server of a killed stack still holds the folder; its orphan reaper ends it.
            time.sleep(0.2)
        return f"postgresql+psycopg://{SUPERUSER}@/{DATABASE}?host={sockets}"

    def exit_status(self) -> int | None:
        """Return the status with which the server ended by itself; None if it did not."""
        return self._child.poll() if self._child else None

    def stop(self) -> None:
        """End all connections and stop the server, if it was started; the data stays."""
        if self._child:
            self._child.stop()
            self._child = None
            remove_if_empty(self._sockets)

    def kill(self) -> None:
        """Kill the server as a crash would."""
        if self._child:
            self._child.kill()
            self._child = None

    def _create_cluster(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        # Aside, and renamed once it is whole: a start that is killed meanwhile must not leave half
        # a cluster to the next one.
        for left_behind in self.data_dir.glob(f"{DRAFT}*"):
            shutil.rmtree(left_behind, ignore_errors=True)
        draft = Path(mkdtemp(prefix=DRAFT, dir=self.data_dir))
        if account:
            os.chown(draft, account.pw_uid, account.pw_gid)
        # How text sorts must not depend on the machine's locale.
        options = ["--no-locale", "--encoding=UTF8", f"--username={SUPERUSER}", "--auth=trust"]
        initdb = ChildProcess(
            [binaries / "initdb", *options, "--pgdata", draft], log=self.log, account=account
        )
        deadline = time.monotonic() + 2 * self._start_timeout
        while (status := initdb.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if status != 0:
            initdb.kill()
            shutil.rmtree(draft, ignore_errors=True)
            raise ConfigurationError(
                f"PostgreSQL could not create its cluster: {tail(self.log)}",
                remedy=f"See {self.log}.",
            )
        draft.rename(self._cluster)

    def _try_to_start(
        self, binaries: Path, sockets: Path, account: pwd.struct_passwd | None, deadline: float
    ) -> bool:
        """Start the server; return False if another one still holds the folder and time is left."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
        }
        self._child = child = ChildProcess(
            [
                binaries / "postgres",
                "-D",
                self._cluster,
                *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
            ],
            log=self.log,
            # "Fast" shutdown: the server ends connections instead of waiting for them.
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
        held_by_another = self._owner() not in {None, child.pid}
        if held_by_another and time.monotonic() < deadline:
            return False
        raise ConfigurationError(
            f"PostgreSQL did not start: {tail(self.log)}",
            remedy=(
                "Stop the other server that uses this folder, or choose another --data-dir."
                if held_by_another
                else f"See {self.log}."
            ),
        )

    def _owner(self) -> int | None:
        """Return the id of the process that holds the cluster, from its lock file."""
        try:
            return int((self._cluster / "postmaster.pid").read_text().partition("\n")[0])
        except (FileNotFoundError, ValueError):
            return None


def _create_database(sockets: Path) -> None:
    with psycopg.connect(
        host=str(sockets), user=SUPERUSER, dbname=SUPERUSER, autocommit=True
    ) as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if exists.fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")

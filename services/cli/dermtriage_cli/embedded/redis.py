"""Redis as a child process that listens on a Unix socket alone."""

import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dermtriage.core.errors import ConfigurationError
from dermtriage_cli.embedded.child_process import ChildProcess, tail
from dermtriage_cli.embedded.permissions import remove_if_empty, socket_folder
from dermtriage_cli.embedded.server_binaries import redis_binary

START_TIMEOUT = 30.0


class EmbeddedRedis:
    """A Redis server with its append-only file in `data_dir`.

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
        self._start_timeout = start_timeout
        self._sockets: Path | None = None
        self._child: ChildProcess | None = None

    def start(self) -> str:
        """Start the server and return its URL, the same at every start.

        Raises
        ------
        ConfigurationError
            If no Redis server is found, or it does not start.
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
        deadline = time.monotonic() + self._start_timeout
        self._wait_until_free(path, deadline)
        self._child = child = ChildProcess(
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
        # Two servers would write one file. The server of a killed stack is ended by its orphan
        # reaper.
        while _answers(path):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"Another Redis server uses {self.data_dir}.",
                    remedy="Stop the other server that uses this folder, or choose another"
                    " --data-dir.",
                )
            time.sleep(0.2)

    def exit_status(self) -> int | None:
        """Return the status with which the server ended by itself; None if it did not."""
        return self._child.poll() if self._child else None

    def stop(self) -> None:
        """Stop the server, if it was started; queued messages stay in the folder."""
        if self._child:
            self._child.stop()
            self._child = None
            remove_if_empty(self._sockets)

    def kill(self) -> None:
        """Kill the server as a crash would."""
        if self._child:
            self._child.kill()
            self._child = None


def _answers(path: Path) -> bool:
    """Whether a Redis server answers at the socket; it does not while it loads its file."""
    try:
        with redis.Redis(
            unix_socket_path=str(path), socket_timeout=1, retry=Retry(NoBackoff(), 0)
        ) as client:
            return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
        return False

"""The whole system on one machine: servers, API, worker and upkeep as children of one process."""

import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import httpx
from pydantic import SecretStr

from dermtriage.core.errors import ConfigurationError
from dermtriage.core.settings import get_settings
from dermtriage.database.engine import make_engine, make_sessions
from dermtriage.scoring import workers
from dermtriage_cli.embedded.installation import Installation, Running
from dermtriage_cli.embedded.servers import EmbeddedPostgres, EmbeddedRedis
from dermtriage_cli.embedded.supervision import Service, Supervisor
from dermtriage_cli.migration import prepare_database

HOST = "127.0.0.1"
DEFAULT_PORT = 8000
READY_TIMEOUT = 180.0
"""Seconds for API and worker to come up; loading the ensemble takes most of it."""


class Stack:
    """A running system in a data folder; a context manager that stops whatever it started.

    Servers that the settings name are used as they are, the others are started.

    Parameters
    ----------
    data_dir
        Where everything is kept.
    port
        For the API; None takes the default, or a free one where that is in use.
    on_step
        Told in words what is being done.

    Attributes
    ----------
    settings
        Those of the environment; once started, complete.
    url
        Where the API is, once started.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._installation = Installation(data_dir)
        self._port = port
        self._on_step = on_step
        self._exit = ExitStack()
        self._supervisor: Supervisor | None = None
        self.settings = get_settings()
        self.url = ""

    @property
    def logs(self) -> Path:
        """The folder with a log a service."""
        return self._installation.logs

    def check(self) -> None:
        """Complain about a service that keeps ending.

        Raises
        ------
        ConfigurationError
            If one does, with the last words of its log.
        """
        if self._supervisor:
            self._supervisor.check()

    def __enter__(self) -> Self:
        """Start everything and wait until it serves.

        Raises
        ------
        ConfigurationError
            If something does not come up; nothing is left running then.
        """
        try:
            self._start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the services, then the servers they use, and give the folder back."""
        self._exit.close()

    def _start(self) -> None:
        self._exit.enter_context(self._installation)
        listener = self._exit.enter_context(_listen(self._port))
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        self._start_servers()
        self._on_step("Migrating the database")
        prepare_database(self.settings)
        self._on_step("Starting API, worker and upkeep")
        self._supervisor = Supervisor(self._services(listener))
        self._exit.callback(self._supervisor.stop)
        self._supervisor.start()
        self._wait_until_ready()
        self._installation.announce(
            Running(
                pid=os.getpid(),
                server_url=self.url,
                database_url=self.settings.database_url,
                redis_url=self.settings.redis_url.get_secret_value(),
                store_url=self.settings.store_url,
            )
        )

    def _start_servers(self) -> None:
        settings, folder = self.settings, self._installation.data_dir
        update: dict[str, object] = {}
        if not settings.database_url:
            self._on_step("Starting PostgreSQL")
            postgres = EmbeddedPostgres(folder / "postgres", log=self.logs / "postgres.log")
            self._exit.callback(postgres.stop)
            update["database_url"] = postgres.start()
        if not settings.redis_url.get_secret_value():
            self._on_step("Starting Redis")
            queue = EmbeddedRedis(folder / "redis", log=self.logs / "redis.log")
            self._exit.callback(queue.stop)
            update["redis_url"] = SecretStr(queue.start())
        if not settings.store_url:
            store = folder / "store"
            store.mkdir(mode=0o700, exist_ok=True)
            update["store_url"] = store.as_uri()
        if not settings.secret_key.get_secret_value():
            update["secret_key"] = self._installation.secret_key()
        self.settings = settings.model_copy(update=update)

    def _services(self, listener: socket.socket) -> list[Service]:
        env = os.environ | {
            "DERMTRIAGE_DATABASE_URL": self.settings.database_url,
            "DERMTRIAGE_REDIS_URL": self.settings.redis_url.get_secret_value(),
            "DERMTRIAGE_STORE_URL": self.settings.store_url,
            "DERMTRIAGE_SECRET_KEY": self.settings.secret_key.get_secret_value(),
        }
        python = [sys.executable, "-m"]
        # While the API starts again, connections wait in the queue of its socket.
        api = [
            *("uvicorn", "--factory", "dermtriage_api.app:create_app"),
            *("--fd", str(listener.fileno()), "--no-access-log"),
            *("--log-level", "warning", "--timeout-graceful-shutdown", "3"),
        ]
        logs = self.logs
        return [
            Service("api", [*python, *api], logs / "api.log", env, [listener.fileno()]),
            Service("worker", [*python, "dermtriage_worker.scoring"], logs / "worker.log", env),
            Service("upkeep", [*python, "dermtriage_worker.upkeep"], logs / "upkeep.log", env),
        ]

    def _wait_until_ready(self) -> None:
        engine = make_engine(self.settings)
        sessions = make_sessions(engine)

        def api_ready() -> bool:
            try:
                return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).is_success
            except httpx.TransportError:
                return False

        def worker_ready() -> bool:
            with sessions() as session:
                return workers.live_slots(session, slow_after=self.settings.slow_after) > 0

        deadline = time.monotonic() + READY_TIMEOUT
        try:
            for what, ready in (("API", api_ready), ("worker", worker_ready)):
                self._on_step(f"Waiting for the {what}")
                while not ready():
                    self.check()
                    if time.monotonic() > deadline:
                        raise ConfigurationError(
                            f"The {what} did not come up in {READY_TIMEOUT:g} seconds.",
                            remedy=f"See its log in {self.logs}.",
                        )
                    time.sleep(0.1)
        finally:
            engine.dispose()


def _listen(wanted: int | None) -> socket.socket:
    """Take a port; the API inherits it, so that no other process can come in between."""
    try:
        return socket.create_server((HOST, DEFAULT_PORT if wanted is None else wanted))
    except OSError as error:
        if wanted is None:
            return socket.create_server((HOST, 0))
        raise ConfigurationError(
            f"Port {wanted} cannot be used: {os.strerror(error.errno or 0)}.",
            remedy="Choose another with --port.",
        ) from error

"""The whole system on one machine: servers, API, worker and upkeep as child processes."""

import os
import socket
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
from dermtriage_cli.database.stores import open_store
from dermtriage_cli.database.upgrade import upgrade_database
from dermtriage_cli.embedded.data_dir import DataDirectory, RunningStack
from dermtriage_cli.embedded.kept_server import KeptServer
from dermtriage_cli.embedded.postgres import EmbeddedPostgres
from dermtriage_cli.embedded.redis import EmbeddedRedis
from dermtriage_cli.embedded.services import make_services
from dermtriage_cli.embedded.supervisor import Supervisor

HOST = "127.0.0.1"
DEFAULT_PORT = 8000
READY_TIMEOUT = 180.0
"""Seconds for API and worker to start; loading the ensemble takes most of them."""


class Stack:
    """A running system in a data folder; a context manager that stops everything it started.

    Servers that the settings name are used, the others are started.

    Parameters
    ----------
    data_dir
        Where everything is kept.
    port
        Port of the API; None takes the default port, or a free one if that is in use.
    reload
        Whether services restart when their Python files change.
    on_step
        Called with the step that begins, in words.

    Attributes
    ----------
    settings
        The settings of the environment; complete once the stack has started.
    url
        URL of the API, once the stack has started.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        reload: bool = False,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._directory = DataDirectory(data_dir)
        self._port = port
        self._reload = reload
        self._on_step = on_step
        self._exit = ExitStack()
        self._supervisor: Supervisor | None = None
        self.settings = get_settings()
        self.url = ""

    @property
    def logs(self) -> Path:
        """The folder with one log per service."""
        return self._directory.logs

    def check(self) -> None:
        """Check that every server runs, and that no service keeps dying.

        Raises
        ------
        ConfigurationError
            If one does not, with the reason.
        """
        if self._supervisor:
            self._supervisor.check()

    def check_servers(self) -> None:
        """Check that every embedded server runs or is being started again.

        Raises
        ------
        ConfigurationError
            If one could not be started again.
        """
        if self._supervisor:
            self._supervisor.check_servers()

    def __enter__(self) -> Self:
        """Start everything and wait until API and worker are ready.

        Raises
        ------
        ConfigurationError
            If a server or service does not start; nothing is left running then.
        StoreMismatch
            If the image store is not the one of the database.
        """
        try:
            self._start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the services, then the servers that they use, and release the folder."""
        self._exit.close()

    def _start(self) -> None:
        self._exit.enter_context(self._directory)
        listener = self._exit.enter_context(_listen(self._port))
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        servers = self._start_servers()
        self._on_step("Migrating the database")
        upgrade_database(self.settings)
        with open_store(self.settings) as (_, store):
            store.check()
        self._on_step("Starting API, worker and upkeep")
        self._supervisor = Supervisor(
            make_services(self.settings, listener, self.logs, reload=self._reload), servers
        )
        self._exit.callback(self._supervisor.stop)
        self._supervisor.start()
        self._wait_until_ready()
        self._directory.announce(
            RunningStack(
                pid=os.getpid(),
                server_url=self.url,
                database_url=self.settings.database_url,
                redis_url=self.settings.redis_url.get_secret_value(),
                store_url=self.settings.store_url,
            )
        )

    def _start_servers(self) -> list[KeptServer]:
        settings, folder = self.settings, self._directory.data_dir
        update: dict[str, object] = {}
        started = []
        if not settings.database_url:
            self._on_step("Starting PostgreSQL")
            postgres = EmbeddedPostgres(folder / "postgres", log=self.logs / "postgres.log")
            self._exit.callback(postgres.stop)
            update["database_url"] = postgres.start()
            started.append(KeptServer("PostgreSQL", postgres))
        if not settings.redis_url.get_secret_value():
            self._on_step("Starting Redis")
            queue = EmbeddedRedis(folder / "redis", log=self.logs / "redis.log")
            self._exit.callback(queue.stop)
            update["redis_url"] = SecretStr(queue.start())
            started.append(KeptServer("Redis", queue))
        if not settings.store_url:
            store = folder / "store"
            store.mkdir(mode=0o700, exist_ok=True)
            update["store_url"] = store.as_uri()
        if not settings.secret_key.get_secret_value():
            update["secret_key"] = self._directory.secret_key()
        self.settings = settings.model_copy(update=update)
        return started

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
                            f"The {what} did not start in {READY_TIMEOUT:g} seconds.",
                            remedy=f"See its log in {self.logs}.",
                        )
                    time.sleep(0.1)
        finally:
            engine.dispose()


def _listen(wanted: int | None) -> socket.socket:
    """Listen on a port; the API inherits the socket, so that no other process can take the port."""
    try:
        return socket.create_server((HOST, DEFAULT_PORT if wanted is None else wanted))
    except OSError as error:
        if wanted is None:
            return socket.create_server((HOST, 0))
        raise ConfigurationError(
            f"Port {wanted} cannot be used: {os.strerror(error.errno or 0)}.",
            remedy="Choose another with --port.",
        ) from error

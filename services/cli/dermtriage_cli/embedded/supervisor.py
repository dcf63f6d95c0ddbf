"""Keeps servers and services running; watchdogs that end their own process rely on it."""

import threading
import time
from collections.abc import Sequence

from dermtriage.core.errors import ConfigurationError
from dermtriage_cli.embedded.child_process import GRACE
from dermtriage_cli.embedded.kept_server import KeptServer
from dermtriage_cli.embedded.service import FATAL_DEATHS, Service


class Supervisor:
    """Keeps servers and services running until it is stopped.

    Parameters
    ----------
    services
        The services to start and watch, and to stop at the end.
    servers
        Running servers to watch.
    grace
        Seconds between the stop signal and SIGKILL.
    """

    def __init__(
        self,
        services: Sequence[Service],
        servers: Sequence[KeptServer] = (),
        *,
        grace: float = GRACE,
    ) -> None:
        self._services = services
        self._servers = servers
        self._lost_server: ConfigurationError | None = None
        self._grace = grace
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start all services, and watch them in a thread."""
        for service in self._services:
            service.ensure_running()
        self._thread.start()

    def check_servers(self) -> None:
        """Check that every server runs or is being started again.

        Raises
        ------
        ConfigurationError
            If one could not be started again.
        """
        if self._lost_server:
            raise self._lost_server

    def check(self) -> None:
        """Check the servers, and that no service keeps dying.

        Raises
        ------
        ConfigurationError
            If a server could not be started again, or a service keeps dying, with the last lines of
            its log.
        """
        self.check_servers()
        for service in self._services:
            if service.deaths >= FATAL_DEATHS:
                raise ConfigurationError(
                    f"The service {service.name} ends again and again. The end of its log:\n"
                    f"{service.log_tail()}\n",
                    remedy="Run `dermtriage doctor`.",
                )

    def stop(self) -> None:
        """Send all services the stop signal, wait for them, and kill those that do not end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for service in self._services:
            service.terminate()
        deadline = time.monotonic() + self._grace
        for service in self._services:
            service.stop(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            try:
                for server in self._servers:
                    server.ensure_running()
            except ConfigurationError as error:
                self._lost_server = error
                return
            for service in self._services:
                service.ensure_running()

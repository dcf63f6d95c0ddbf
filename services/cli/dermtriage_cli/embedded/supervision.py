"""Services that are started again when they die; watchdogs that end a process rely on it."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from dermtriage.core.errors import ConfigurationError
from dermtriage_cli.embedded.processes import GRACE, Child, tail

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
SETTLED_AFTER = 60.0
"""Seconds that a service must live for its past deaths to be forgotten."""

FATAL_DEATHS = 3
"""A service that dies so often within short lives will not come up at all."""


class Service:
    """One service of the stack.

    Parameters
    ----------
    name
        What people call it; its log is named after it.
    argv
        The command line.
    log
        Where it writes.
    env
        Its whole environment.
    keep_open
        File descriptors that it inherits.

    Attributes
    ----------
    child
        The process; None while there is none.
    deaths
        How often it died within a short life.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        env: Mapping[str, str],
        keep_open: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.deaths = 0
        self._argv = argv
        self._log = log
        self._env = env
        self._keep_open = keep_open
        self.child: Child | None = None
        self._started_at = 0.0
        self._next_start = 0.0

    def tend(self) -> None:
        """Start the service if it is not running and its pause is over."""
        now = time.monotonic()
        if self.child is not None and (status := self.child.poll()) is not None:
            # What the dead process started itself must not live on beside the new one.
            self.child.kill()
            self.child = None
            self.deaths = self.deaths + 1 if now - self._started_at < SETTLED_AFTER else 1
            pause = min(FIRST_PAUSE * 2 ** (self.deaths - 1), LONGEST_PAUSE)
            self._next_start = now + pause
            logger.warning(
                "%s ended with status %d; it starts again in %g s. See %s.",
                self.name,
                status,
                pause,
                self._log,
            )
        if self.child is None and now >= self._next_start:
            self.child = Child(self._argv, log=self._log, env=self._env, keep_open=self._keep_open)
            self._started_at = now

    def ask_to_end(self) -> None:
        """Ask the service to end, and come back at once."""
        if self.child:
            self.child.ask()

    def end(self, grace: float) -> None:
        """Wait for the end, at most `grace` seconds, then kill."""
        if self.child:
            self.child.stop(grace)
            self.child = None

    def log_tail(self) -> str:
        """Return the last lines that the service wrote."""
        return tail(self._log)


class Supervisor:
    """Keeps services running until it is told to stop."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start all services and watch over them from a thread of its own."""
        for service in self._services:
            service.tend()
        self._thread.start()

    def check(self) -> None:
        """Complain about a service that keeps ending.

        Raises
        ------
        ConfigurationError
            If one does, with the last words of its log.
        """
        for service in self._services:
            if service.deaths >= FATAL_DEATHS:
                raise ConfigurationError(
                    f"The service {service.name} keeps ending. Its last words:\n"
                    f"{service.log_tail()}\n",
                    remedy="Run `dermtriage doctor`.",
                )

    def stop(self) -> None:
        """Ask all services to end at once, and kill those that do not."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for service in self._services:
            service.ask_to_end()
        deadline = time.monotonic() + GRACE
        for service in self._services:
            service.end(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            for service in self._services:
                service.tend()

"""One embedded server of the stack: it is started again when it dies."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dermtriage.core.errors import ConfigurationError
from dermtriage_cli.embedded.service import FATAL_DEATHS, SETTLED_AFTER

logger = logging.getLogger(__name__)


class EmbeddedServer(Protocol):
    """A server that keeps its data and its address over a restart."""

    @property
    def log(self) -> Path:
        """Where it writes."""

    def start(self) -> str:
        """Start it, wait until it answers, and return its URL.

        Raises
        ------
        ConfigurationError
            If it does not start.
        """

    def exit_status(self) -> int | None:
        """Return the status with which it ended by itself; None if it did not."""


class KeptServer:
    """A server that has been started, and is started again when it dies.

    Parameters
    ----------
    name
        As people call it.
    clock
        Returns seconds that never go back.
    """

    def __init__(
        self, name: str, server: EmbeddedServer, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._server = server
        self._clock = clock
        self._started_at = clock()
        self._deaths = 0

    def ensure_running(self) -> None:
        """Start the server again if it has died; this waits until it answers.

        Raises
        ------
        ConfigurationError
            If it does not start, or dies again and again.
        """
        status = self._server.exit_status()
        if status is None:
            return
        settled = self._clock() - self._started_at >= SETTLED_AFTER
        self._deaths = 1 if settled else self._deaths + 1
        if self._deaths >= FATAL_DEATHS:
            raise ConfigurationError(
                f"{self._name} ends again and again, the last time with status {status}.",
                remedy=f"See {self._server.log}.",
            )
        logger.warning(
            "%s ended with status %d and is started again. See %s.",
            self._name,
            status,
            self._server.log,
        )
        self._server.start()
        self._started_at = self._clock()

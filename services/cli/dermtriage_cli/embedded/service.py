"""One service of the stack: a child process that is started again when it dies."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dermtriage_cli.embedded.child_process import GRACE, ChildProcess, tail
from dermtriage_cli.embedded.source_watcher import SourceWatcher

logger = logging.getLogger(__name__)

FATAL_DEATHS = 3
"""What dies this often soon after its start, in a row, will die again."""

LONGEST_PAUSE = 30.0
SETTLED_AFTER = 60.0
"""Seconds that a service or server must live for its past deaths to be forgotten."""


class Service:
    """One service of the stack.

    Parameters
    ----------
    name
        As people call it.
    argv
        The command line.
    log
        Where it writes.
    env
        Its whole environment.
    keep_open
        File descriptors that it inherits.
    sources
        Source files; a change restarts the service. None watches nothing.
    first_pause
        Seconds before the restart after a first death; they double with each death after it.
    clock
        Returns seconds that never go back.

    Attributes
    ----------
    child
        The process; None while none runs.
    deaths
        How often it died soon after its start, in a row.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        env: Mapping[str, str],
        *,
        keep_open: Sequence[int] = (),
        sources: SourceWatcher | None = None,
        first_pause: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.child: ChildProcess | None = None
        self.deaths = 0
        self._argv = argv
        self._log = log
        self._env = env
        self._keep_open = keep_open
        self._sources = sources
        self._first_pause = first_pause
        self._clock = clock
        self._started_at = 0.0
        self._next_start = 0.0

    def ensure_running(self) -> None:
        """Start the service if it is not running and its pause is over; restart it on a change."""
        now = self._clock()
        if self._sources is not None and (changed := self._sources.changed()) is not None:
            logger.info("%s changed: %s restarts.", changed, self.name)
            self.stop(GRACE)
            self.deaths = 0
            self._next_start = now
        if self.child is not None and (status := self.child.poll()) is not None:
            # Processes that the dead one started must not live on beside the new ones.
            self.child.kill()
            self.child = None
            self.deaths = self.deaths + 1 if now - self._started_at < SETTLED_AFTER else 1
            pause = min(self._first_pause * 2 ** (self.deaths - 1), LONGEST_PAUSE)
            self._next_start = now + pause
            logger.warning(
                "%s ended with status %d; it restarts in %g s. See %s.",
                self.name,
                status,
                pause,
                self._log,
            )
        if self.child is None and now >= self._next_start:
            self.child = ChildProcess(
                self._argv, log=self._log, env=self._env, keep_open=self._keep_open
            )
            self._started_at = now

    def terminate(self) -> None:
        """Send the stop signal, and return at once."""
        if self.child:
            self.child.terminate()

    def stop(self, grace: float) -> None:
        """Send the stop signal, wait at most `grace` seconds, then kill the service."""
        if self.child:
            self.child.stop(grace)
            self.child = None

    def log_tail(self) -> str:
        """Return the last lines that the service wrote."""
        return tail(self._log)

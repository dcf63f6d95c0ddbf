"""Child processes: each in a group and with a log of its own, and never outliving its parent."""

import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from pwd import struct_passwd

from dermtriage_cli.embedded.guard import guard

GRACE = 8.0
"""Seconds that a child has to end after it was asked to, before it is killed."""


class Child:
    """One running child process and whatever it starts itself.

    Parameters
    ----------
    argv
        The command line.
    log
        File to which standard output and error are appended.
    env
        The whole environment of the child; this process's own by default.
    stop_signal
        What asks the child to end.
    account
        Another account to run as; needs root.
    keep_open
        File descriptors that the child inherits.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        account: struct_passwd | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        self._stop_signal = stop_signal
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            # The group of its own keeps Ctrl-C in the terminal from reaching the child: the
            # parent alone decides in which order its children end.
            self._process = subprocess.Popen(  # noqa: S603 - nothing but our own command lines
                argv,
                # Another account may have no access to the folder that we happen to be in.
                cwd="/" if account else None,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                pass_fds=keep_open,
                start_new_session=True,
            )
        guard.watch(self.pid, stop_signal)

    @property
    def pid(self) -> int:
        """The child's process id, which is also that of its group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while the child runs."""
        status = self._process.poll()
        if status is not None:
            guard.forget(self.pid)
        return status

    def wait(self) -> int:
        """Wait until the child ends, and return its exit status as `poll` does."""
        status = self._process.wait()
        guard.forget(self.pid)
        return status

    def ask(self) -> None:
        """Ask the child to end, and come back at once."""
        if self.poll() is None:
            self._send(self._stop_signal)

    def stop(self, grace: float = GRACE) -> None:
        """Ask the child to end, wait at most `grace` seconds, then kill it."""
        self.ask()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self.kill()

    def kill(self) -> None:
        """End the child and its own children at once (SIGKILL)."""
        self._send(signal.SIGKILL)
        self.wait()

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def tail(log: Path, lines: int = 8) -> str:
    """Return the last lines of a log."""
    with log.open(errors="replace") as text:
        return "".join(deque(text, lines)).strip()

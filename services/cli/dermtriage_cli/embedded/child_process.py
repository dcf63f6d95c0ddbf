"""Child processes: each has its own process group and log, and never outlives its parent."""

import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from pwd import struct_passwd

from dermtriage_cli.embedded.orphan_reaper import orphan_reaper

GRACE = 8.0
"""Seconds between the stop signal and SIGKILL."""


class ChildProcess:
    """One running child process, together with the processes that it starts.

    Parameters
    ----------
    argv
        The command line.
    log
        File to which standard output and error are appended.
    env
        The whole environment of the child; this process's own by default.
    stop_signal
        The signal that makes the child end in order.
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
            # In a group of its own, the child does not receive Ctrl-C from the terminal: the
            # parent decides in which order its children end.
            self._process = subprocess.Popen(  # noqa: S603 - only our own command lines
                argv,
                # Another account may have no access to the current folder.
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
        orphan_reaper.watch(self.pid, stop_signal)

    @property
    def pid(self) -> int:
        """The child's process id, which is also that of its group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while the child runs."""
        status = self._process.poll()
        if status is not None:
            orphan_reaper.forget(self.pid)
        return status

    def wait(self) -> int:
        """Wait until the child ends, and return its exit status as `poll` does."""
        status = self._process.wait()
        orphan_reaper.forget(self.pid)
        return status

    def terminate(self) -> None:
        """Send the stop signal, and return at once."""
        if self.poll() is None:
            self._send(self._stop_signal)

    def stop(self, grace: float = GRACE) -> None:
        """Send the stop signal, wait at most `grace` seconds, then kill the child."""
        self.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self.kill()

    def kill(self) -> None:
        """End the child and the processes that it started at once (SIGKILL)."""
        self._send(signal.SIGKILL)
        self.wait()

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def tail(log: Path, lines: int = 8) -> str:
    """Return the last lines of a log."""
    with log.open(errors="replace") as text:
        return "".join(deque(text, lines)).strip()

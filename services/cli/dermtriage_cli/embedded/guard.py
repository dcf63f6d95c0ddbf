"""Ends the children of a process that was killed before it could end them itself.

It runs as a process of its own and reads lines from its parent: ``+PID SIGNAL`` for a process
group to watch, ``-PID`` for one that has ended. When the parent dies, by whatever signal, the
pipe closes and what is left is ended. The kernel's parent-death signal would not do: it exists on
Linux alone, and fires already when the thread that started the child ends.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from threading import Lock

GRACE = 8.0
"""Seconds between asking a group to end and killing it."""


class Guard:
    """The parent's end of the pipe; the guarding process starts with the first child."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pipe: int | None = None

    def watch(self, pid: int, stop_signal: int) -> None:
        """End the process group `pid` with `stop_signal` should this process die."""
        self._tell(f"+{pid} {int(stop_signal)}")

    def forget(self, pid: int) -> None:
        """Leave the group `pid` alone from now on; it has ended."""
        self._tell(f"-{pid}")

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._pipe is None:
                self._pipe = _start()
            # Should the guard itself have been killed, the children only lose their safety net.
            with suppress(BrokenPipeError):
                os.write(self._pipe, f"{line}\n".encode())


def _start() -> int:
    """Start the guarding process and return the end of the pipe that it listens to."""
    listening, telling = os.pipe()
    subprocess.Popen(  # noqa: S603 - our own interpreter and file
        [sys.executable, "-I", "-S", __file__],
        stdin=listening,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A session of its own: Ctrl-C in the terminal must not reach it.
        start_new_session=True,
    )
    os.close(listening)
    return telling


guard = Guard()


def _signal(pid: int, number: int) -> bool:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    """Watch until the parent is gone, then end what it left."""
    watched: dict[int, int] = {}
    for line in sys.stdin:
        pid, _, number = line[1:].partition(" ")
        if line.startswith("+"):
            watched[int(pid)] = int(number)
        else:
            watched.pop(int(pid), None)
    left = [pid for pid, number in watched.items() if _signal(pid, number)]
    deadline = time.monotonic() + GRACE
    while (left := [pid for pid in left if _signal(pid, 0)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        _signal(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()

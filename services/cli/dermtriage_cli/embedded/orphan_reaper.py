"""Ends the children of a process that was killed before it could end them itself.

The reaper is a process of its own and reads lines from its parent: ``+PID SIGNAL`` for a process
group to watch, ``-PID`` for one that has ended. When the parent dies, by whatever signal, the
pipe closes and the reaper ends the groups that are left. The kernel's parent-death signal would
not do: it exists on Linux alone, and fires already when the thread that started the child ends.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from threading import Lock

GRACE = 8.0
"""Seconds between the stop signal and SIGKILL."""


class OrphanReaper:
    """The parent's end of the pipe; the reaper's process starts with the first child."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pipe: int | None = None

    def watch(self, pid: int, stop_signal: int) -> None:
        """End the process group `pid` with `stop_signal` should this process die."""
        self._send(f"+{pid} {int(stop_signal)}")

    def forget(self, pid: int) -> None:
        """Stop watching the process group `pid`: it has ended."""
        self._send(f"-{pid}")

    def _send(self, line: str) -> None:
        with self._lock:
            if self._pipe is None:
                self._pipe = _start()
            # If the reaper itself was killed, the children go on without a safety net.
            with suppress(BrokenPipeError):
                os.write(self._pipe, f"{line}\n".encode())


def _start() -> int:
    """Start the reaper's process and return the end of the pipe to write to."""
    read_end, write_end = os.pipe()
    subprocess.Popen(  # noqa: S603 - our own interpreter and file
        [sys.executable, "-I", "-S", __file__],
        stdin=read_end,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A session of its own: Ctrl-C in the terminal must not reach it.
        start_new_session=True,
    )
    os.close(read_end)
    return write_end


orphan_reaper = OrphanReaper()


def _signal(pid: int, number: int) -> bool:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    """Watch until the parent is gone, then end the process groups that are left."""
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

"""Start the processes of a peer, and end every one of them. Linux only."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_ROOT = Path(__file__).parents[2]


def become_subreaper() -> None:
    """Become the parent of every orphan among the descendants, and exit cleanly on SIGTERM.

    Some peers start processes in sessions of their own, so killing a process group is not enough,
    and an orphan would not be found among the descendants.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def started(
    command: Sequence[str], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python command from the root of the sources; afterwards end all its processes."""
    paths = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    others = {child.pid for child in psutil.Process().children()}
    try:
        with log.open("wb") as output:
            yield subprocess.Popen(
                [sys.executable, *command],
                cwd=_ROOT,
                env={**os.environ, "PYTHONPATH": paths, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    finally:
        _end_all_but(others)


def _end_all_but(others: set[int]) -> None:
    # A killed process may have started another just before, so repeat until none is left.
    while left := _descendants(others):
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=1)


def _descendants(others: set[int]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        if child.pid not in others:
            with suppress(psutil.NoSuchProcess):
                found += [child, *child.children(recursive=True)]
    return found


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

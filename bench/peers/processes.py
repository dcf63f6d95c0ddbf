"""The processes of a peer, and a sure end of every one of them. For Linux."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_ROOT = Path(__file__).parents[2]


def take_charge() -> None:
    """Become the parent of every orphan among the descendants, and end in order when told to.

    Some peers give their processes sessions of their own, so to kill a process group is not
    enough, and what has lost its parent would not be found among the descendants.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def started(
    command: Sequence[str], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python command from the root of the sources; afterwards nothing of it is left."""
    paths = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
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
        _end_descendants()


def _end_descendants() -> None:
    # One that is killed may just have started another, so it is looked for until none is left.
    while left := psutil.Process().children(recursive=True):
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=1)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

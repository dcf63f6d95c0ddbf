"""`dermtriage up` as a process, and the processes below it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dermtriage_cli.embedded.data_dir import RunningStack

TIMES = {
    "LEASE_SECONDS": "4",
    "HEARTBEAT_SECONDS": "0.5",
    "RECOVERY_SECONDS": "1",
    "AGEING_SECONDS": "1",
    "OUTAGE_DELAY": "0.5",
    "REDIS_TIMEOUT": "1",
    "STALL_SECONDS": "20",
}
"""Short, so that a fault and what follows it fit into a test."""

PARTS = {
    "api": "dermtriage_api.app",
    "worker": "dermtriage_worker.scoring",
    "upkeep": "dermtriage_worker.upkeep",
    "redis": "/redis-server",
    "postgres": "/postgres",
}
"""How the command line of each part is recognised."""


class Installation:
    """A system in a folder, started by the command that people use.

    Parameters
    ----------
    folder
        Its data folder.
    releases
        Folder with the release `tiny`.
    """

    def __init__(self, folder: Path, releases: Path) -> None:
        self.folder = folder
        environment = {f"DERMTRIAGE_{name}": value for name, value in TIMES.items()} | {
            "DERMTRIAGE_RELEASES_DIR": str(releases),
            "DERMTRIAGE_DEFAULT_RELEASE": "tiny",
            "DERMTRIAGE_DEVICE": "cpu",
        }
        program = "from dermtriage_cli.main import app; app()"
        self._up = subprocess.Popen(
            [sys.executable, "-c", program, "up", "--data-dir", str(folder)],
            env=os.environ | environment,
        )
        wait_until(self._has_started, 120, "the installation")
        self.running = RunningStack.model_validate_json((folder / "stack.json").read_text())

    def _has_started(self) -> bool:
        self.check()
        return (self.folder / "stack.json").exists()

    @property
    def store(self) -> Path:
        """The folder of its image store."""
        return Path(self.running.store_url.removeprefix("file://"))

    def check(self) -> None:
        """Fail if `dermtriage up` has ended."""
        assert self._up.poll() is None, "dermtriage up has ended"

    def processes(self, part: str) -> list[int]:
        """Return the processes of a part; the first is the oldest."""
        parents, lines = {}, {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has ended meanwhile
                continue
            parents[int(entry.name)], lines[int(entry.name)] = int(status[1]), line
        top = [
            pid
            for pid, line in lines.items()
            if PARTS[part] in line and _is_below(pid, self._up.pid, parents)
        ]
        return sorted(pid for pid in parents if any(_is_below(pid, one, parents) for one in top))

    def kill(self, part: str) -> None:
        """Kill a part as a crash would."""
        self._signal(part, signal.SIGKILL)

    def freeze(self, part: str) -> None:
        """Stop all processes of a part where they are."""
        self._signal(part, signal.SIGSTOP)

    def thaw(self, part: str) -> None:
        """Let all processes of a part go on."""
        self._signal(part, signal.SIGCONT)

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        self._up.send_signal(signal.SIGINT)
        try:
            self._up.wait(60)
        finally:
            self._up.kill()

    def _signal(self, part: str, number: signal.Signals) -> None:
        for pid in self.processes(part):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Return the seconds until `condition` held; fail, naming `what`, if it does not in time."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            pytest.fail(f"{what} took longer than {seconds:g} seconds")
        time.sleep(0.05)
    return time.monotonic() - began


def _is_below(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid and pid != ancestor:
        pid = parents.get(pid, 0)
    return pid == ancestor

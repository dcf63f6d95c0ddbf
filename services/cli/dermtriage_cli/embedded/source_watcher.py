"""Notices changed Python files, for services that restart while they are developed."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path


class SourceWatcher:
    """Compares the modification times of all Python files below some folders.

    Parameters
    ----------
    folders
        Folders to watch, with all folders below them.
    interval
        Seconds between two looks at the files.
    """

    def __init__(self, folders: Sequence[Path], *, interval: float = 1.0) -> None:
        self._folders = folders
        self._interval = interval
        self._seen = self._modification_times()
        self._next_look = time.monotonic() + interval

    def changed(self) -> Path | None:
        """Return a file that was changed, added or removed since the last call; None if none was.

        Between two looks at the files the answer is None.
        """
        if time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + self._interval
        before, self._seen = self._seen, self._modification_times()
        different = before.items() ^ self._seen.items()
        return min((path for path, _ in different), default=None)

    def _modification_times(self) -> Mapping[Path, int]:
        times = {}
        for folder in self._folders:
            for path in folder.rglob("*.py"):
                try:
                    times[path] = path.stat().st_mtime_ns
                except FileNotFoundError:  # removed, or replaced by an editor, since it was listed
                    continue
        return times

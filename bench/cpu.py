"""CPU time of all processes that this one has started, servers included."""

import psutil


class Meter:
    """Counts CPU seconds from its creation."""

    def __init__(self) -> None:
        self._before = _seconds()

    def seconds(self) -> float:
        """Return the CPU seconds of all descendants, without those that have ended."""
        now = _seconds()
        return sum(spent - self._before.get(pid, 0.0) for pid, spent in now.items())


def _seconds() -> dict[int, float]:
    spent = {}
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent[child.pid] = times.user + times.system
    return spent

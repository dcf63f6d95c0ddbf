"""A lock on the device: one batch at a time, uploads before everything else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PriorityLock:
    """A lock that urgent threads get before all others that wait for it.

    Each thread that rescores waits with a batch of its own. In order of arrival, an upload would
    wait for as many batches as there are threads.

    Attributes
    ----------
    urgent_waiting
        Number of urgent threads that wait.
    """

    def __init__(self) -> None:
        self.urgent_waiting = 0
        self._changed = threading.Condition()
        self._held = False

    @contextmanager
    def hold(self, *, urgent: bool) -> Iterator[None]:
        """Hold the lock, once it is free and, unless urgent, no urgent thread waits."""
        with self._changed:
            self.urgent_waiting += urgent
            try:
                self._changed.wait_for(
                    lambda: not self._held and (urgent or not self.urgent_waiting)
                )
                self._held = True
            finally:
                self.urgent_waiting -= urgent
        try:
            yield
        finally:
            with self._changed:
                self._held = False
                self._changed.notify_all()

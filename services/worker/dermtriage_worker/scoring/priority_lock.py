"""Whose batch is on the device: one at a time, and what clinics have sent before all else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PriorityLock:
    """A lock that lets uploads pass whatever else waits for it.

    Threads that rescore have prepared a batch each by the time they wait. In the order of their
    coming, an upload would wait for as many batches as there are threads.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self._urgent = 0

    @contextmanager
    def take(self, *, urgent: bool) -> Iterator[None]:
        """Have the device alone, as soon as nobody has it and, unless urgent, no upload waits."""
        with self._changed:
            self._urgent += urgent
            try:
                self._changed.wait_for(lambda: not self._taken and (urgent or not self._urgent))
                self._taken = True
            finally:
                self._urgent -= urgent
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()

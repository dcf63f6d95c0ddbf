"""A lock by which a suspect is scored while its process does nothing else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class IsolationLock:
    """Batches run side by side, suspects one at a time and without a batch beside them.

    Suspects and batches take turns: before each suspect its thread looks for work that can be
    scored in a batch, and a look from before another thread's suspect does not count. So no upload
    waits for more than one suspect.

    Attributes
    ----------
    tried
        How many suspects have been scored so far.
    """

    def __init__(self) -> None:
        self.tried = 0
        self._changed = threading.Condition()
        self._batches = 0
        self._isolated = False

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """Let the calling thread score a batch, once no suspect is being scored or waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._isolated)
            self._batches += 1
        try:
            yield
        finally:
            with self._changed:
                self._batches -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self, tried: int) -> Iterator[bool]:
        """Let the calling thread score a suspect, once the running batches have ended.

        Parameters
        ----------
        tried
            The attribute, as it was before the thread last looked for other work.

        Yields
        ------
        bool
            False if another suspect has been scored since: then the thread has to look again.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._isolated)
            granted = self.tried == tried
            if granted:
                self._isolated = True
                self._changed.wait_for(lambda: not self._batches)
        try:
            yield granted
        finally:
            if granted:
                with self._changed:
                    self.tried += 1
                    self._isolated = False
                    self._changed.notify_all()

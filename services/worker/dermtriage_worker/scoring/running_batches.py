"""The batches that a process is scoring: which leases they hold, and for how long they have run."""

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from dermtriage.rescoring.chunk_leases import Chunk
from dermtriage.scoring.leases import Lease


@dataclass(slots=True)
class RunningBatch:
    """One batch, run by one thread.

    Attributes
    ----------
    chunk
        The chunk that it is of; None for uploads and heat maps.
    since
        When it began or made its last step, by the monotonic clock; None while it waits for
        another batch, which is watched itself.
    """

    leases: Sequence[Lease] = ()
    chunk: Chunk | None = None
    since: float | None = field(default_factory=time.monotonic)


class RunningBatches:
    """The batches that run, one per thread.

    Attributes
    ----------
    ended
        How many have ended, whatever came of them.
    """

    def __init__(self) -> None:
        self.ended = 0
        self._lock = threading.Lock()
        self._by_thread: dict[int, RunningBatch] = {}

    @contextmanager
    def run(self, leases: Sequence[Lease] = (), chunk: Chunk | None = None) -> Iterator[None]:
        """Run a batch in the calling thread."""
        thread = threading.get_ident()
        with self._lock:
            self._by_thread[thread] = RunningBatch(leases, chunk)
        try:
            yield
        finally:
            with self._lock:
                del self._by_thread[thread]
                self.ended += 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let the calling thread's batch wait for another one; this is not counted as its time."""
        self._set_since(None)
        try:
            yield
        finally:
            self.restart_clock()

    def restart_clock(self) -> None:
        """Note a step of the calling thread's batch: it does not hang."""
        self._set_since(time.monotonic())

    def restart_all_clocks(self) -> None:
        """Note that no batch can make a step for now, whatever it does."""
        with self._lock:
            for batch in self._by_thread.values():
                if batch.since is not None:
                    batch.since = time.monotonic()

    def all(self) -> list[RunningBatch]:
        """Return the batches that run."""
        with self._lock:
            return list(self._by_thread.values())

    def hung(self, limit: float) -> list[RunningBatch]:
        """Return the batches that have made no step for more than `limit` seconds."""
        now = time.monotonic()
        return [
            batch for batch in self.all() if batch.since is not None and now - batch.since > limit
        ]

    def _set_since(self, since: float | None) -> None:
        with self._lock:
            batch = self._by_thread.get(threading.get_ident())
            if batch is not None:
                batch.since = since


def lease_tokens(batches: Collection[RunningBatch]) -> list[int]:
    """Return the tokens of the leases on images that some batches hold."""
    return [lease.token for batch in batches for lease in batch.leases]


def chunk_tokens(batches: Collection[RunningBatch]) -> list[int]:
    """Return the tokens of the leases on chunks that some batches are of."""
    return [batch.chunk.token for batch in batches if batch.chunk is not None]

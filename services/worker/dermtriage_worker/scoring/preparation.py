"""The photographs of a batch, prepared one after another or side by side."""

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from dermtriage.scoring.leases import Lease
from dermtriage_worker.ensemble.image.photograph import Photograph
from dermtriage_worker.ensemble.inference import Ensemble

Prepare = Callable[[Lease], Photograph]

ABREAST = 16
"""Photographs on their way at once: while an object store takes 20 milliseconds to answer, so many
bring 800 a second."""


class Preparation:
    """Prepares the photographs that a process's threads have claimed.

    Out of a folder, for a CPU, each thread prepares its own one after another: reading takes
    nothing, and the cores are busy scoring. From an object store each photograph travels for
    milliseconds, and a GPU leaves the cores idle: then they are prepared side by side.

    Parameters
    ----------
    side_by_side
        Whether other threads help.
    """

    def __init__(self, *, side_by_side: bool) -> None:
        self._helpers = ThreadPoolExecutor(ABREAST, "preparation") if side_by_side else None
        self._decoders = ThreadPoolExecutor(os.cpu_count(), "decoding") if side_by_side else None

    def decode(
        self, decode: Callable[[bytes, Ensemble], Photograph], data: bytes, ensemble: Ensemble
    ) -> Photograph:
        """Have a photograph decoded, within what is given to `each`.

        A thread keeps the memory of its largest photograph for the next one. So helpers, of whom
        most wait for the store, do not decode by themselves.
        """
        if self._decoders is None:
            return decode(data, ensemble)
        return self._decoders.submit(decode, data, ensemble).result()

    def each(
        self, prepare: Prepare, leases: Iterable[Lease]
    ) -> Generator[tuple[Lease, Callable[[], Photograph]]]:
        """Yield each lease, in order, and what returns its photograph or raises what failed.

        Close the generator: what has not begun by then is left out.
        """
        if self._helpers is None:
            for lease in leases:
                yield lease, partial(prepare, lease)
            return
        coming = [(lease, self._helpers.submit(prepare, lease)) for lease in leases]
        try:
            for lease, future in coming:
                yield lease, future.result
        finally:
            # After an outage the others need not be tried.
            for _, future in coming:
                future.cancel()

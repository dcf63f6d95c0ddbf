"""Fetch and decode the photographs of a batch, one after another or side by side."""

import os
from collections.abc import Callable, Collection, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.database.engine import outage_as_unavailable
from dermtriage.models import Image
from dermtriage.scoring.leases import Lease
from dermtriage_worker.ensemble.image.photograph import Photograph
from dermtriage_worker.ensemble.inference import Ensemble

Load = Callable[[Lease], Photograph]
"""Fetches the photograph of a leased image and decodes it."""

FETCHES_AT_ONCE = 16
"""With an object store that takes 20 milliseconds to answer, these bring 800 photographs a
second."""


def original_digests(
    sessions: sessionmaker[Session], image_ids: Collection[UUID]
) -> dict[UUID, bytes]:
    """Return the SHA-256 of the photographs as they arrived.

    Raises
    ------
    Unavailable
        If the database cannot be reached.
    """
    with outage_as_unavailable(), sessions() as session:
        rows = session.execute(select(Image.id, Image.sha256).where(Image.id.in_(image_ids)))
        return dict(rows.all())


class PhotographLoader:
    """Loads photographs for all scoring threads of a process.

    From a folder and for a CPU, each thread loads its photographs one after another: reading takes
    no time, and the cores are busy scoring. From an object store each photograph travels for
    milliseconds, and a GPU leaves the cores idle: then pools of threads load them side by side.

    Parameters
    ----------
    side_by_side
        Whether photographs are loaded side by side.
    """

    def __init__(self, *, side_by_side: bool) -> None:
        self._fetchers = ThreadPoolExecutor(FETCHES_AT_ONCE, "fetch") if side_by_side else None
        self._decoders = ThreadPoolExecutor(os.cpu_count(), "decode") if side_by_side else None

    def decode(
        self, decode: Callable[[bytes, Ensemble], Photograph], data: bytes, ensemble: Ensemble
    ) -> Photograph:
        """Decode a photograph; for use in what `load_each` runs.

        Every thread that decodes keeps the memory of its largest photograph. So there are fewer
        decoders than fetchers, which mostly wait for the store.
        """
        if self._decoders is None:
            return decode(data, ensemble)
        return self._decoders.submit(decode, data, ensemble).result()

    def load_each(
        self, load: Load, leases: Iterable[Lease]
    ) -> Generator[tuple[Lease, Callable[[], Photograph]]]:
        """Yield each lease, in order, and a function that returns its photograph or raises.

        Close the generator: what has not begun by then is cancelled.
        """
        if self._fetchers is None:
            for lease in leases:
                yield lease, partial(load, lease)
            return
        futures = [(lease, self._fetchers.submit(load, lease)) for lease in leases]
        try:
            for lease, future in futures:
                yield lease, future.result
        finally:
            # After an outage the others need not be tried.
            for _, future in futures:
                future.cancel()

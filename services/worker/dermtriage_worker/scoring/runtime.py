"""What one scoring process holds: its connections, its ensembles, its place in the list."""

import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from sqlalchemy.orm import Session, sessionmaker
from torch import Tensor

from dermtriage.core.errors import ReleaseInvalid
from dermtriage.core.settings import Settings
from dermtriage.database.engine import (
    autocommit_session,
    make_engine,
    make_sessions,
    outage_as_unavailable,
)
from dermtriage.models import Release
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import chunks
from dermtriage.rescoring.chunks import Chunk
from dermtriage.scoring import workers
from dermtriage.scoring.leases import Lease, most_urgent_images, renew_leases
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest import manifest_sha256
from dermtriage_worker.scoring.preparation import Preparation
from dermtriage_worker.scoring.priority_lock import PriorityLock

logger = logging.getLogger(__name__)

CORES = torch.get_num_threads()
"""The cores that torch found for this process at its start."""


@contextmanager
def sharing_cores(busy: int) -> Iterator[None]:
    """Let the calling thread compute with its share of the cores, as one of so many threads."""
    # The number of torch's threads holds for the calling thread alone.
    torch.set_num_threads(max(1, CORES // busy))
    try:
        yield
    finally:
        torch.set_num_threads(1)


def _blank(ensemble: Ensemble) -> Tensor:
    return ensemble.prepare(Image.new("RGB", (64, 64)))


class Ensembles:
    """The ensemble that a process has loaded; another release replaces it when it is asked for.

    A release is loaded by one thread while the others wait, since they would need it too.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._loaded: tuple[str, Ensemble] | None = None

    def get(self, release: Release) -> Ensemble:
        """Return the ensemble of a release.

        Raises
        ------
        ReleaseInvalid
            If its folder is not the release that the database knows.
        """
        with self._lock:
            if self._loaded is None or self._loaded[0] != release.name:
                folder = self._settings.releases_dir / release.name
                if manifest_sha256(folder) != release.manifest_sha256.hex():
                    raise ReleaseInvalid(
                        f"The folder of release {release.name} is not the one that was installed.",
                        remedy="Restore the release's folder, or install it under a new name.",
                    )
                # Freed weights leave holes in the memory of the thread that loaded them. A scoring
                # thread would search these for every activation, and be slower by a tenth after
                # the first release that is replaced, by a third after some.
                with ThreadPoolExecutor(1, "release-loader") as loader:
                    ensemble = loader.submit(self._load, folder).result()
                self._loaded = (release.name, ensemble)
                logger.info("release loaded", extra={"release": release.name})
            return self._loaded[1]

    def _load(self, folder: Path) -> Ensemble:
        """Load an ensemble that is ready for each share of the cores: no photograph waits then."""
        ensemble = Ensemble.load(folder, self._settings.device)
        if ensemble.device.type == "cpu":
            for busy in range(1, self._settings.scoring_threads + 1):
                with sharing_cores(busy):
                    ensemble.predict([_blank(ensemble)])
        return ensemble


class Runtime:
    """One scoring process.

    Attributes
    ----------
    ensembles, shadows
        The active release's ensemble, and the shadow's.
    preparation
        Who prepares photographs.
    stopping
        Set when the process is to end after the batches that run.
    ended
        Batches that came to an end, be it in assessments or in an outage.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sessions: sessionmaker[Session] = make_sessions(make_engine(settings))
        self.store = ImageStore.from_settings(settings)
        self.ensembles = Ensembles(settings)
        # Of its own, so that no upload waits while a shadow is loaded.
        self.shadows = Ensembles(settings)
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._device = PriorityLock()
        self._running: dict[int, Sequence[Lease]] = {}
        self._chunks: set[int] = set()
        self._busy = 0
        self._batches = 0
        self._completed = 0
        self.ended = 0
        with outage_as_unavailable(), self.sessions() as session:
            release = active_release(session)
        ensemble = self.ensembles.get(release)
        # A device that cannot compute shall fail here, before any photograph is claimed.
        ensemble.predict([_blank(ensemble)])
        self.preparation = Preparation(
            side_by_side=self.store.is_remote or ensemble.device.type != "cpu"
        )
        self._register = partial(
            workers.register_worker,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            slots=settings.scoring_threads,
            device=str(ensemble.device),
            release=release.name,
        )
        with outage_as_unavailable(), self.sessions.begin() as session:
            self.worker_id = self._register(session)

    def pulse(self) -> workers.Heartbeat:
        """Return what the process tells of itself."""
        with self._lock:
            return workers.Heartbeat(self._busy, self._batches, self._completed)

    @contextmanager
    def task(self) -> Iterator[None]:
        """Count a thread as busy."""
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1

    @contextmanager
    def turn(self, ensemble: Ensemble, *, urgent: bool = False) -> Iterator[None]:
        """Let a thread compute a batch; an urgent one is of uploads.

        A GPU takes one batch at a time, while the next one is decoded. On a CPU the busy threads
        share the cores: side by side they lose less than one that spreads each photograph over
        all of them, and a thread that is alone still gets them all.
        """
        if ensemble.device.type != "cpu":
            with self._device.take(urgent=urgent):
                yield
            return
        with sharing_cores(max(1, self._busy)):
            yield

    @contextmanager
    def batch(self, leases: Sequence[Lease]) -> Iterator[None]:
        """Have the heartbeat keep these leases while a thread works on them."""
        mark = id(leases)
        with self._lock:
            self._running[mark] = leases
        try:
            yield
        finally:
            with self._lock:
                del self._running[mark]
                self.ended += 1

    @contextmanager
    def lent(self, chunk: Chunk) -> Iterator[None]:
        """Have the heartbeat keep this chunk's lease while a thread works on it."""
        with self._lock:
            self._chunks.add(chunk.token)
        try:
            yield
        finally:
            with self._lock:
                self._chunks.discard(chunk.token)

    def bulk_batch(self, ensemble: Ensemble) -> int:
        """Return how many images of a run pass before uploads are looked for again.

        Threads that share the cores of a CPU share one batch too: each takes as much longer. None
        takes a part of a pass, which costs as much as a whole one.
        """
        if ensemble.device.type != "cpu":
            return self.settings.scoring_batch
        share = self.settings.scoring_batch // self.settings.scoring_threads
        return max(1, share // ensemble.at_once) * ensemble.at_once

    def completed(self, images: int, batches: int = 1) -> None:
        """Count batches whose assessments have been committed."""
        with self._lock:
            self._batches += batches
            self._completed += images

    def beat(self) -> None:
        """Give a sign of life and prolong the leases of the running batches."""
        with self._lock:
            tokens = [lease.token for leases in self._running.values() for lease in leases]
            chunk_tokens = set(self._chunks)
        with outage_as_unavailable(), self.sessions.begin() as session:
            if not workers.record_heartbeat(
                session, worker_id=self.worker_id, heartbeat=self.pulse()
            ):
                # We were silent for so long that upkeep struck us off.
                self.worker_id = self._register(session)
            if tokens:
                renew_leases(session, tokens=tokens, lease_seconds=self.settings.lease_seconds)
            if chunk_tokens:
                chunks.renew(
                    session, tokens=chunk_tokens, lease_seconds=self.settings.lease_seconds
                )

    def has_backlog(self) -> bool:
        """Whether any image could be claimed at this moment."""
        # Asked before every batch: a transaction around one statement would be two more.
        with autocommit_session(self.sessions) as session:
            return bool(most_urgent_images(session, 1, max_attempts=self.settings.max_attempts))

    def retire(self) -> None:
        """Take the process off the list of workers."""
        with outage_as_unavailable(), self.sessions.begin() as session:
            workers.remove_worker(session, worker_id=self.worker_id)

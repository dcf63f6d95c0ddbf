"""The state of a scoring process: connections, loaded releases, leases, its registration."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions, outage_as_unavailable
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import chunk_leases
from dermtriage.rescoring.chunk_leases import Chunk
from dermtriage.scoring import workers
from dermtriage.scoring.leases import renew_leases
from dermtriage.scoring.pending import Backlog, find_backlog
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.scoring.core_sharing import sharing_cores
from dermtriage_worker.scoring.isolation_lock import IsolationLock
from dermtriage_worker.scoring.loaded_releases import LoadedRelease, LoadEnsemble, black_square
from dermtriage_worker.scoring.photograph_loader import PhotographLoader
from dermtriage_worker.scoring.priority_lock import PriorityLock
from dermtriage_worker.scoring.running_batches import RunningBatches, lease_tokens


class Runtime:
    """The state of one scoring process. Creating it loads the release and registers the worker.

    Parameters
    ----------
    store
        The image store; by default that of the settings.
    load
        Loads a release.

    Attributes
    ----------
    active, shadow
        The active release and the shadow release, loaded.
    photographs
        Loads photographs.
    slots
        Held by each thread while it works: no more threads work than the settings allow, whether a
        message or a look into the database has begun their work.
    stopping
        Set when the process is to end after the running batches.
    running
        The batches that it is scoring.
    isolation
        By which suspects are scored alone.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        store: ImageStore | None = None,
        load: LoadEnsemble = Ensemble.load,
    ) -> None:
        self.settings = settings
        self.sessions: sessionmaker[Session] = make_sessions(make_engine(settings))
        self.store = store or ImageStore.from_settings(settings, self.sessions)
        self.active = LoadedRelease(settings, load)
        # Apart, so that no upload waits while a shadow is loaded.
        self.shadow = LoadedRelease(settings, load)
        self.slots = threading.BoundedSemaphore(settings.scoring_threads)
        self.stopping = threading.Event()
        self.running = RunningBatches()
        self.isolation = IsolationLock()
        self._lock = threading.Lock()
        self._device = PriorityLock()
        self._chunk_tokens: set[int] = set()
        self._busy = 0
        self._batches = 0
        self._completed = 0
        with outage_as_unavailable(), self.sessions() as session:
            release = active_release(session)
        ensemble = self.active.ensemble_of(release)
        # A device that cannot compute must fail here, before any image is leased.
        ensemble.predict([black_square(ensemble)])
        self.photographs = PhotographLoader(
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

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count the calling thread as busy."""
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1

    @contextmanager
    def device(self, ensemble: Ensemble, *, urgent: bool = False) -> Iterator[None]:
        """Let the calling thread compute a batch.

        A GPU computes one batch at a time, while other threads decode the next ones. On a CPU the
        busy threads share the cores, which is faster than spreading each batch over all of them.

        Parameters
        ----------
        urgent
            Whether the batch is of uploads, which pass the waiting batches of a run.
        """
        if ensemble.device.type != "cpu":
            with ExitStack() as held:
                with self.running.waiting():
                    held.enter_context(self._device.hold(urgent=urgent))
                yield
            return
        with sharing_cores(max(1, self._busy)):
            yield

    @contextmanager
    def holding_chunk(self, chunk: Chunk) -> Iterator[None]:
        """Work on a chunk; meanwhile the heartbeat renews its lease."""
        with self._lock:
            self._chunk_tokens.add(chunk.token)
        try:
            yield
        finally:
            with self._lock:
                self._chunk_tokens.discard(chunk.token)

    def bulk_batch_size(self, ensemble: Ensemble) -> int:
        """Return how many images of a run are scored before the next look for uploads.

        On a CPU the threads share a batch, as they share the cores. It is of whole passes, since a
        part of a pass costs as much as a whole one.
        """
        if ensemble.device.type != "cpu":
            return self.settings.scoring_batch
        share = self.settings.scoring_batch // self.settings.scoring_threads
        return max(1, share // ensemble.pass_size) * ensemble.pass_size

    def count_completed(self, images: int, batches: int = 1) -> None:
        """Count batches whose assessments have been committed."""
        with self._lock:
            self._batches += batches
            self._completed += images

    def counts(self) -> workers.Heartbeat:
        """Return what the heartbeat reports."""
        with self._lock:
            return workers.Heartbeat(self._busy, self._batches, self._completed)

    def send_heartbeat(self) -> None:
        """Report to the worker registry, and renew the leases of what is running."""
        with self._lock:
            held_chunks = set(self._chunk_tokens)
        tokens = lease_tokens(self.running.all())
        seconds = self.settings.lease_seconds
        with outage_as_unavailable(), self.sessions.begin() as session:
            if not workers.record_heartbeat(
                session, worker_id=self.worker_id, heartbeat=self.counts()
            ):
                # Upkeep removed this worker, because it had sent no heartbeat for long.
                self.worker_id = self._register(session)
            if tokens:
                renew_leases(session, tokens=tokens, lease_seconds=seconds)
            if held_chunks:
                chunk_leases.renew(session, tokens=held_chunks, lease_seconds=seconds)

    def find_backlog(self) -> Backlog:
        """Return which images can be leased now."""
        with outage_as_unavailable(), self.sessions() as session:
            return find_backlog(session, max_attempts=self.settings.max_attempts)

    def has_backlog(self) -> bool:
        """Return whether any image can be leased now."""
        backlog = self.find_backlog()
        return backlog.images or backlog.suspects

    def unregister(self) -> None:
        """Remove this process from the worker registry."""
        with outage_as_unavailable(), self.sessions.begin() as session:
            workers.remove_worker(session, worker_id=self.worker_id)

"""Score one chunk of a rescore run, and pending uploads before each device batch.

A chunk's images are read and written a few batches at a time. A process may end at any moment:
no image is left out, and none is recorded twice.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from dermtriage.core.clock import utcnow
from dermtriage.core.errors import ReleaseInvalid
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.models import Release
from dermtriage.rescoring import chunk_leases, failures, lifecycle, recording
from dermtriage.rescoring.chunk_leases import Chunk
from dermtriage.rescoring.recording import RecordedBatch
from dermtriage.rescoring.remaining_images import RemainingImage, remaining_images
from dermtriage.scoring.leases import Lease
from dermtriage.scoring.recording import ScoredImage
from dermtriage.storage.renditions import rendition_of
from dermtriage_worker.ensemble.device import DeviceLost
from dermtriage_worker.ensemble.image.photograph import Photograph, decode_rendition
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.scoring.batch import load_images, predict, scored_image
from dermtriage_worker.scoring.failures import OUTAGES, failure_reason, write_with_retries
from dermtriage_worker.scoring.photograph_loader import original_digests
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.suspects import Suspects
from dermtriage_worker.scoring.upload_loop import make_heat_maps, score_uploads

logger = logging.getLogger(__name__)

BATCHES_PER_WRITE = 4
"""Device batches that are read and written together: a statement for four takes hardly longer than
for one, and in a rescore run a score may be stored some seconds later."""


class ChunkWork:
    """One chunk, held by one thread."""

    def __init__(self, runtime: Runtime, chunk: Chunk, release: Release) -> None:
        self._runtime = runtime
        self._chunk = chunk
        self._release = release
        self._suspects = Suspects(runtime, chunk)
        self._limit = BATCHES_PER_WRITE * runtime.settings.scoring_batch
        if self._suspects.one_at_a_time:
            self._limit = 1

    def run(self) -> int:
        """Do the remaining images of the chunk, or give it back; return how many were done.

        Raises
        ------
        ReleaseInvalid
            If this worker cannot score with the run's release.
        DeviceLost
            If the device failed for good.
        """
        done = 0
        try:
            while not self._runtime.stopping.is_set():
                work = self._read_next()
                if work is None:
                    break
                if not work:
                    write_with_retries(
                        self._runtime, lambda s: chunk_leases.complete(s, self._chunk)
                    )
                    return done
                changes = self._process(work)
                done += changes.images
                if changes.raised_image_ids:
                    make_heat_maps(self._runtime)
        except ReleaseInvalid as error:
            self._report_release(str(error))
            raise
        except OUTAGES as error:
            logger.error("outage, chunk given back", extra={"reason": type(error).__name__})
            self._give_back(delay=self._runtime.settings.outage_delay)
            return done
        except DeviceLost:
            self._give_back(suspect=True)
            raise
        except Exception as error:
            logger.exception("chunk failed", extra={"run_id": self._chunk.run_id})
            self._retry(error)
            return done
        self._give_back()
        return done

    def _read_next(self) -> list[RemainingImage] | None:
        with outage_as_unavailable(), self._runtime.sessions() as session:
            # It may have become the active release since the last batch, or ceased to be.
            self._release = session.get_one(Release, self._chunk.release_id)
            return remaining_images(session, self._chunk, self._limit)

    def _process(self, work: Sequence[RemainingImage]) -> RecordedBatch:
        unscored = [item.lease for item in work if not item.assessed]
        assessed = [item for item in work if item.assessed]
        ensemble = self._ensemble()
        if unscored and self._suspects.one_at_a_time:
            return self._process_alone(ensemble, unscored[0])
        results, batches = [], 0
        for leases in self._batches(ensemble, unscored):
            with self._runtime.isolation.beside_others():
                results += self._score(ensemble, leases)
            batches += 1
        changes = self._record(results, assessed, str(ensemble.device))
        self._runtime.count_completed(changes.images, batches)
        return changes

    def _process_alone(self, ensemble: Ensemble, lease: Lease) -> RecordedBatch:
        """Score and record an image while the process does nothing else.

        So the mark of this image outlasts the process only if the image ended it.
        """
        while not self._runtime.stopping.is_set():
            tried = self._runtime.isolation.tried
            score_uploads(self._runtime)
            with self._runtime.isolation.alone(tried) as granted:
                if not granted:
                    continue
                if self._runtime.stopping.is_set() or not self._suspects.mark(lease):
                    break
                try:
                    results = self._score(ensemble, [lease])
                    changes = self._record(results, [], str(ensemble.device))
                except DeviceLost:
                    raise
                except Exception:
                    # Whatever the error, the process is alive: the image is no suspect.
                    self._suspects.clear(lease)
                    raise
                self._runtime.count_completed(changes.images)
                return changes
        return RecordedBatch()

    def _ensemble(self) -> Ensemble:
        # A shadow release must not replace the loaded release that uploads need.
        is_active = self._release.mode == "active"
        loaded = self._runtime.active if is_active else self._runtime.shadow
        return loaded.ensemble_of(self._release)

    def _batches(self, ensemble: Ensemble, leases: Sequence[Lease]) -> Iterator[Sequence[Lease]]:
        """Yield device batches; before each, score pending uploads."""
        size = self._runtime.bulk_batch_size(ensemble)
        for start in range(0, len(leases), size):
            score_uploads(self._runtime)
            if self._runtime.stopping.is_set():
                return
            yield leases[start : start + size]

    def _score(self, ensemble: Ensemble, leases: Sequence[Lease]) -> list[ScoredImage]:
        def load(lease: Lease) -> Photograph:
            rendition = rendition_of(
                self._runtime.store, lease.image_id, partial(self._original_digest, lease.image_id)
            )
            return self._runtime.photographs.decode(decode_rendition, rendition, ensemble)

        with self._runtime.running.run(chunk=self._chunk):
            images = load_images(self._runtime, load, leases, self._fail)
            scored = predict(self._runtime, ensemble, images, self._fail)
        return [scored_image(image, prediction) for image, prediction in scored]

    def _original_digest(self, image_id: UUID) -> bytes:
        return original_digests(self._runtime.sessions, [image_id])[image_id]

    def _record(
        self, results: Sequence[ScoredImage], assessed: Sequence[RemainingImage], device: str
    ) -> RecordedBatch:
        try:
            return write_with_retries(
                self._runtime,
                lambda session: recording.record(
                    session,
                    self._chunk,
                    results,
                    assessed,
                    device=device,
                    now=utcnow(),
                    recall_share=self._runtime.settings.rescore_recall_share,
                ),
            )
        except SQLAlchemyError as error:
            # The database refused one of the rows: halve them until that one is alone.
            leases = [*(one.lease for one in results), *(one.lease for one in assessed)]
            if len(leases) == 1:
                self._fail(leases[0], error)
                return RecordedBatch()
            middle = len(leases) // 2
            rest = max(0, middle - len(results))
            return self._record(results[:middle], assessed[:rest], device) + self._record(
                results[middle:], assessed[rest:], device
            )

    def _fail(self, lease: Lease, error: Exception) -> None:
        """Leave an image out of the run; its earlier severity stays."""
        reason = failure_reason(error)
        logger.warning("image failed", extra={"image_id": lease.image_id, "reason": reason})
        write_with_retries(
            self._runtime,
            lambda s: failures.exclude_image(s, self._chunk, lease.image_id, reason=reason),
        )

    def _report_release(self, reason: str) -> None:
        """Leave the run to other workers, and note why: none of them may have its release."""
        run_id = self._chunk.run_id
        logger.error("release not loaded", extra={"run_id": run_id, "reason": reason})
        write_with_retries(
            self._runtime,
            lambda s: lifecycle.set_reason(
                s, run_id, reason=f"A worker cannot take part. {reason}"
            ),
        )
        self._give_back(delay=self._runtime.settings.outage_delay)

    def _retry(self, error: Exception) -> None:
        """Have the chunk tried again; end the run after the last attempt."""
        run_id, number, attempts = self._chunk.run_id, self._chunk.number, self._chunk.attempts
        if attempts >= self._runtime.settings.max_attempts:
            reason = (
                f"Chunk {number} failed in attempt {attempts}: {failure_reason(error)}."
                " See the workers' logs; what is left can be planned as another run."
            )
            write_with_retries(
                self._runtime,
                lambda s: lifecycle.fail(s, run_id, reason=reason, now=utcnow()),
            )
        self._give_back(delay=self._runtime.settings.outage_delay, costs_attempt=True)

    def _give_back(
        self, *, delay: float = 0.0, costs_attempt: bool = False, suspect: bool = False
    ) -> None:
        write_with_retries(
            self._runtime,
            lambda s: chunk_leases.release(
                s, self._chunk, delay=delay, costs_attempt=costs_attempt, suspect=suspect
            ),
        )

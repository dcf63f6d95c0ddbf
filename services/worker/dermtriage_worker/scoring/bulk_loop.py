"""Rescoring in bulk: chunk after chunk, and before each device batch what clinics have sent.

A chunk's images are asked of the database and written back some batches at a time, so that a
process that ends leaves nothing undone and nothing to be done twice.
"""

import logging
from collections.abc import Iterator, Sequence

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dermtriage.core.clock import utcnow
from dermtriage.core.errors import ReleaseInvalid
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.models import Release
from dermtriage.rescoring import chunks, recording, reports, runs
from dermtriage.rescoring.chunks import Chunk, Work
from dermtriage.rescoring.recording import Changes
from dermtriage.scoring.leases import Lease
from dermtriage.scoring.recording import ScoredImage
from dermtriage.storage.renditions import rendition_of
from dermtriage_worker.ensemble.device import DeviceLost
from dermtriage_worker.ensemble.image.photograph import Photograph, decode_rendition
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.scoring.batch import OUTAGES, persist, predict, prepared, reason_of
from dermtriage_worker.scoring.claimed import Ready, result_of
from dermtriage_worker.scoring.heat_maps import Explanations
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import drain

logger = logging.getLogger(__name__)

BATCHES_AT_ONCE = 4
"""Full device batches that are asked for and written at once: asking and writing cost much the
same however many they are, and a second or two later is soon enough at night."""


def rescore(runtime: Runtime) -> int:
    """Work off chunks of rescore runs until there are none.

    Returns
    -------
    int
        How many images were done.

    Raises
    ------
    DeviceLost
        If the device failed for good; only a new process can use it again.
    """
    done = 0
    unfit: set[int] = set()
    explanations = Explanations(runtime)
    with runtime.task():
        while not runtime.stopping.is_set():
            drain(runtime, explanations)
            with outage_as_unavailable(), runtime.sessions.begin() as session:
                chunk = chunks.acquire(
                    session,
                    worker_id=runtime.worker_id,
                    lease_seconds=runtime.settings.lease_seconds,
                    without=unfit,
                )
                release = session.get_one(Release, chunk.release_id) if chunk else None
            if chunk is None or release is None:
                break
            with runtime.lent(chunk):
                try:
                    done += _ChunkWork(runtime, chunk, release, explanations).work_off()
                except ReleaseInvalid:
                    # Another worker may have this release, and another run asks for another one.
                    unfit.add(release.id)
        _explain_waiting(runtime, explanations)
    persist(runtime, lambda session: reports.finish_done(session, now=utcnow()))
    return done


def _explain_waiting(runtime: Runtime, explanations: Explanations) -> None:
    """Make the maps that are due, of uploads too, which no other thread knows of."""
    while not runtime.stopping.is_set() and explanations.make_one():
        drain(runtime, explanations)


class _ChunkWork:
    """One chunk in the hands of one thread."""

    def __init__(
        self, runtime: Runtime, chunk: Chunk, release: Release, explanations: Explanations
    ) -> None:
        self._runtime = runtime
        self._chunk = chunk
        self._release = release
        self._explanations = explanations
        # After a death one image at a time: the one that kills stands alone.
        self._careful = chunk.attempts > 1
        self._limit = 1 if self._careful else BATCHES_AT_ONCE * runtime.settings.scoring_batch

    def work_off(self) -> int:
        """Do what is left of the chunk, or give it back.

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
                work = self._next()
                if work is None:
                    break
                if not work:
                    persist(self._runtime, lambda session: chunks.close(session, self._chunk))
                    return done
                changes = self._do(work)
                done += changes.images
                self._explain(changes)
        except ReleaseInvalid as error:
            self._report_release(str(error))
            raise
        except OUTAGES as error:
            logger.error("outage", extra={"reason": type(error).__name__})
            self._give_back(delay=self._runtime.settings.outage_delay)
            return done
        except DeviceLost:
            self._give_back(counts=True)
            raise
        except Exception as error:
            logger.exception("chunk failed", extra={"run_id": self._chunk.run_id})
            self._try_again(error)
            return done
        self._give_back()
        return done

    def _report_release(self, reason: str) -> None:
        """Leave the run to other workers; should none of them have its release, the run says so."""
        run_id = self._chunk.run_id
        logger.error("release not loaded", extra={"run_id": run_id, "reason": reason})
        persist(
            self._runtime,
            lambda s: runs.remark(s, run_id, reason=f"A worker cannot take part. {reason}"),
        )
        self._give_back(delay=self._runtime.settings.outage_delay)

    def _try_again(self, error: Exception) -> None:
        """Have the chunk tried again; end the run if that has come to the same too often."""
        run_id, number, attempts = self._chunk.run_id, self._chunk.number, self._chunk.attempts
        if attempts >= self._runtime.settings.max_attempts:
            reason = (
                f"Chunk {number} failed in attempt {attempts}: {reason_of(error)}."
                " See the workers' logs; what is left can be planned as another run."
            )
            persist(
                self._runtime,
                lambda s: reports.fail(s, run_id, reason=reason, now=utcnow()),
            )
        self._give_back(delay=self._runtime.settings.outage_delay, counts=True)

    def _next(self) -> list[Work] | None:
        with outage_as_unavailable(), self._runtime.sessions() as session:
            # It may have become the active one, or ceased to be, since the batches before.
            self._release = session.get_one(Release, self._chunk.release_id)
            return chunks.remaining(session, self._chunk, self._limit)

    def _do(self, work: Sequence[Work]) -> Changes:
        new = [one.lease for one in work if not one.assessed]
        assessed = [one for one in work if one.assessed]
        ensemble = self._ensemble()
        results, batches = [], 0
        try:
            for leases in self._batches(ensemble, new):
                with self._runtime.batch([]):
                    ready = self._decode(ensemble, leases)
                    said = predict(self._runtime, ensemble, ready, self._fail)
                    results += [result_of(item, prediction) for item, prediction in said]
                    batches += 1
            changes = self._record(results, assessed, str(ensemble.device))
        except DeviceLost:
            raise
        except Exception:
            # Whatever it was, it was no death of the process: no image is to blame.
            self._take_up(new)
            raise
        self._runtime.completed(changes.images, batches)
        return changes

    def _batches(self, ensemble: Ensemble, leases: Sequence[Lease]) -> Iterator[Sequence[Lease]]:
        """Yield device batches; before each, what clinics have sent is scored."""
        size = self._runtime.bulk_batch(ensemble)
        for first in range(0, len(leases), size):
            drain(self._runtime, self._explanations)
            batch = leases[first : first + size]
            if self._runtime.stopping.is_set() or not self._may_try(batch):
                return
            yield batch

    def _may_try(self, leases: Sequence[Lease]) -> bool:
        """After a death, note what is about to be tried: it may be what kills."""
        if not self._careful:
            return True
        (lease,) = leases
        return persist(self._runtime, lambda s: chunks.mark_suspect(s, self._chunk, lease.image_id))

    def _take_up(self, leases: Sequence[Lease]) -> None:
        image_ids = [lease.image_id for lease in leases]

        def write(session: Session) -> None:
            if chunks.lock_held(session, self._chunk) is not None:
                chunks.clear_suspects(session, self._chunk, image_ids)

        if self._careful:
            persist(self._runtime, write)

    def _ensemble(self) -> Ensemble:
        # A release that only compares must not push out the one that uploads need.
        active = self._release.mode == "active"
        held = self._runtime.ensembles if active else self._runtime.shadows
        return held.get(self._release)

    def _decode(self, ensemble: Ensemble, leases: Sequence[Lease]) -> list[Ready]:
        def prepare(lease: Lease) -> Photograph:
            rendition = rendition_of(self._runtime.store, lease.image_id)
            return self._runtime.preparation.decode(decode_rendition, rendition, ensemble)

        return prepared(self._runtime, prepare, leases, self._fail)

    def _record(
        self, results: Sequence[ScoredImage], assessed: Sequence[Work], device: str
    ) -> Changes:
        try:
            return persist(
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
            # The database refused what one of them holds: halve until it stands alone.
            leases = [*(one.lease for one in results), *(one.lease for one in assessed)]
            if len(leases) == 1:
                self._fail(self._runtime, leases[0], error)
                return Changes()
            middle = len(leases) // 2
            rest = max(0, middle - len(results))
            return self._record(results[:middle], assessed[:rest], device) + self._record(
                results[middle:], assessed[rest:], device
            )

    def _fail(self, runtime: Runtime, lease: Lease, error: Exception) -> None:
        """Leave an image out of the run; its earlier severity stands."""
        reason = reason_of(error)
        logger.warning("image failed", extra={"image_id": lease.image_id, "reason": reason})
        persist(
            runtime, lambda s: chunks.exclude_image(s, self._chunk, lease.image_id, reason=reason)
        )

    def _explain(self, changes: Changes) -> None:
        """Make maps of what has just become severe; the other maps are of an earlier release."""
        if changes.risen:
            self._explanations.add(changes.risen, self._release)
        _explain_waiting(self._runtime, self._explanations)

    def _give_back(self, *, delay: float = 0.0, counts: bool = False) -> None:
        persist(
            self._runtime,
            lambda session: chunks.release(session, self._chunk, delay=delay, counts=counts),
        )

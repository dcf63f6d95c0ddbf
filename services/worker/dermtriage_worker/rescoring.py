"""Rescoring in bulk: chunk after chunk, and before each batch what clinics have sent.

A chunk's images are asked of the database batch by batch, so that a process that ends leaves
nothing undone and nothing to be done twice.
"""

import logging
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from dermtriage import chunks, rescore_reports, rescoring
from dermtriage.assessments import Result
from dermtriage.chunks import Chunk, Work
from dermtriage.claims import Lease
from dermtriage.db import outage_as_unavailable, utcnow
from dermtriage.errors import ReleaseInvalid, Unavailable
from dermtriage.models import Release
from dermtriage.renditions import rendition_of
from dermtriage.rescoring import Changes
from dermtriage_worker.batches import OUTAGES, persist, predict, reason_of
from dermtriage_worker.claimed import Ready, result_of
from dermtriage_worker.ensemble.device import DeviceLost
from dermtriage_worker.ensemble.ensemble import Ensemble
from dermtriage_worker.explanations import Explanations
from dermtriage_worker.photographs import open_photograph
from dermtriage_worker.runtime import Runtime
from dermtriage_worker.scoring import drain

logger = logging.getLogger(__name__)

_TRIED = "The worker did not come back from scoring it."


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
    explanations = Explanations(runtime)
    with runtime.task():
        while not runtime.stopping.is_set():
            drain(runtime, explanations)
            with outage_as_unavailable(), runtime.sessions.begin() as session:
                chunk = chunks.take(
                    session,
                    worker_id=runtime.worker_id,
                    lease_seconds=runtime.settings.lease_seconds,
                )
                release = session.get_one(Release, chunk.release_id) if chunk else None
            if chunk is None or release is None:
                break
            with runtime.lent(chunk):
                done += _ChunkWork(runtime, chunk, release, explanations).work_off()
    persist(runtime, lambda session: rescore_reports.finish_done(session, now=utcnow()))
    return done


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
        self._limit = 1 if self._careful else runtime.settings.scoring_batch

    def work_off(self) -> int:
        """Do what is left of the chunk, or give it back."""
        done = 0
        try:
            while not self._runtime.stopping.is_set():
                work = self._next()
                if work is None:
                    break
                if not work:
                    persist(self._runtime, lambda session: chunks.close(session, self._chunk))
                    return done
                with self._runtime.batch([]):
                    changes = self._do(work)
                done += changes.images
                self._explain(work, changes)
                drain(self._runtime, self._explanations)
        except ReleaseInvalid as error:
            reason = str(error)
            logger.error("run failed", extra={"run_id": self._chunk.run_id, "reason": reason})
            persist(
                self._runtime,
                lambda s: rescore_reports.fail(s, self._chunk.run_id, reason=reason, now=utcnow()),
            )
        except OUTAGES as error:
            logger.error("outage", extra={"reason": type(error).__name__})
            self._give_back(delay=self._runtime.settings.outage_delay)
            return done
        except DeviceLost:
            self._give_back(counts=True)
            raise
        self._give_back()
        return done

    def _next(self) -> list[Work] | None:
        with outage_as_unavailable(), self._runtime.sessions() as session:
            return chunks.remaining(session, self._chunk, self._limit)

    def _do(self, work: Sequence[Work]) -> Changes:
        new = [one.lease for one in work if not one.assessed]
        if self._careful:
            ids = [lease.image_id for lease in new]
            persist(self._runtime, lambda s: chunks.give_up(s, self._chunk, ids, reason=_TRIED))
        ensemble = self._ensemble()
        ready = self._decode(ensemble, new)
        said = predict(self._runtime, ensemble, ready, self._fail)
        results = [result_of(item, prediction) for item, prediction in said]
        assessed = [one for one in work if one.assessed]
        changes = self._record(results, assessed, str(ensemble.device))
        self._runtime.completed(changes.images)
        return changes

    def _ensemble(self) -> Ensemble:
        # A release that only compares must not push out the one that uploads need.
        active = self._release.mode == "active"
        held = self._runtime.ensembles if active else self._runtime.shadows
        return held.get(self._release)

    def _decode(self, ensemble: Ensemble, leases: Sequence[Lease]) -> list[Ready]:
        ready = []
        for lease in leases:
            try:
                rendition = rendition_of(self._runtime.store, lease.image_id)
                ready.append(Ready(lease, open_photograph(rendition, ensemble)))
            except (Unavailable, MemoryError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, its neighbours go on
                self._fail(self._runtime, lease, error)
        return ready

    def _record(self, results: Sequence[Result], assessed: Sequence[Work], device: str) -> Changes:
        try:
            return persist(
                self._runtime,
                lambda session: rescoring.record(
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
            middle, rest = len(results) // 2, len(assessed) // 2
            halves = (
                self._record(results[:middle], assessed[:rest], device),
                self._record(results[middle:], assessed[rest:], device),
            )
            return Changes(
                sum(half.images for half in halves),
                sum(half.upgrades for half in halves),
                sum(half.recalls for half in halves),
            )

    def _fail(self, runtime: Runtime, lease: Lease, error: Exception) -> None:
        """Leave an image out of the run; its earlier severity stands."""
        reason = reason_of(error)
        logger.warning("image failed", extra={"image_id": lease.image_id, "reason": reason})
        persist(
            runtime,
            lambda s: chunks.give_up(s, self._chunk, [lease.image_id], reason=reason),
        )

    def _explain(self, work: Sequence[Work], changes: Changes) -> None:
        """Make maps of what has just become severe; the other maps are of an earlier release."""
        if changes.upgrades or changes.recalls:
            self._explanations.add([one.lease.image_id for one in work], self._release)
            while self._explanations.make_one():
                drain(self._runtime, self._explanations)

    def _give_back(self, *, delay: float = 0.0, counts: bool = False) -> None:
        persist(
            self._runtime,
            lambda session: chunks.give_back(session, self._chunk, delay=delay, counts=counts),
        )

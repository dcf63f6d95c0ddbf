"""Score the chunks of rescore runs, one after another."""

from dermtriage.core.clock import utcnow
from dermtriage.core.errors import ReleaseInvalid
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.models import Release
from dermtriage.rescoring import chunk_leases, lifecycle
from dermtriage_worker.scoring.chunk_work import ChunkWork
from dermtriage_worker.scoring.failures import write_with_retries
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import make_heat_maps, score_uploads


def rescore(runtime: Runtime) -> int:
    """Score chunks of rescore runs until there are none.

    Returns
    -------
    int
        Number of images that were done.

    Raises
    ------
    DeviceLost
        If the device failed for good; only a new process can use it again.
    """
    done = 0
    unavailable: set[int] = set()
    with runtime.busy():
        while not runtime.stopping.is_set():
            score_uploads(runtime)
            with outage_as_unavailable(), runtime.sessions.begin() as session:
                chunk = chunk_leases.acquire(
                    session,
                    worker_id=runtime.worker_id,
                    lease_seconds=runtime.settings.lease_seconds,
                    excluded_releases=unavailable,
                )
                release = session.get_one(Release, chunk.release_id) if chunk else None
            if chunk is None or release is None:
                break
            with runtime.holding_chunk(chunk):
                try:
                    done += ChunkWork(runtime, chunk, release).run()
                except ReleaseInvalid:
                    # Another worker may have this release, and another run may use another one.
                    unavailable.add(release.id)
        make_heat_maps(runtime)
    write_with_retries(runtime, lambda session: lifecycle.finish_completed(session, now=utcnow()))
    return done

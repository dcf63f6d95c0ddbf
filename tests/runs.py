"""Steps of rescore runs: plan one, score its chunks with given scores or a real worker, report."""

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE
from tests.factories import MONDAY, SEVERE, photograph

from dermtriage.models import Release, RescoreRun
from dermtriage.releases.activation import activate_release, add_release
from dermtriage.releases.queries import find_release
from dermtriage.rescoring import chunk_leases, failures, lifecycle, planning, recording, runs
from dermtriage.rescoring.chunk_leases import Chunk
from dermtriage.rescoring.recording import RecordedBatch
from dermtriage.rescoring.remaining_images import RemainingImage, remaining_images
from dermtriage.rescoring.reports.report import RunReport
from dermtriage.rescoring.reports.writing import write_report
from dermtriage.rescoring.scope import OPEN, Scope
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending

NEXT = "next"
"""Name of a second release, whose scores the tests set."""


def find_or_add_release(session: Session, name: str = NEXT) -> Release:
    """Return a release; one that is not in the database is added as a row, without a folder."""
    known = session.scalar(select(Release).where(Release.name == name))
    if known is not None:
        return known
    manifest = find_release(session, RELEASE).manifest | {"name": name}
    return add_release(session, name=name, manifest=manifest, sha256=name.encode().ljust(32))


def activate(session: Session, name: str = NEXT) -> Release:
    release = find_or_add_release(session, name)
    activate_release(
        session, name=name, minimum_sensitivity=0.0, actor="tests", override_reason="a test"
    )
    return release


def add_scored_case(
    session: Session, clinic_id: UUID, *scores: float, now: datetime = MONDAY, **fields: Any
) -> UUID:
    """Add a case with an image for each score, scored by the active release."""
    receipt = factories.receive(session, clinic_id, images=len(scores), now=now, **fields)
    for image_id, score in zip(receipt.pending_image_ids, scores, strict=True):
        factories.score(session, image_id, score, now)
    return receipt.case_id


def plan_run(
    session: Session, scope: Scope = OPEN, size: int = 512, name: str = NEXT
) -> RescoreRun:
    return planning.plan_run(
        session,
        release=find_release(session, name),
        scope=scope,
        actor="tests",
        chunk_images=size,
    )


def lease_chunk(session: Session) -> Chunk:
    chunk = chunk_leases.acquire(session, worker_id=uuid4(), lease_seconds=60)
    assert chunk is not None
    return chunk


def list_remaining_images(
    session: Session, chunk: Chunk, limit: int = 1000
) -> list[RemainingImage]:
    work = remaining_images(session, chunk, limit)
    assert work is not None
    return work


def score_chunk(
    session: Session,
    chunk: Chunk,
    p_severe: float | Callable[[UUID], float],
    *,
    now: datetime = MONDAY + timedelta(days=1),
    recall_share: float = 1.0,
    limit: int = 1000,
    broken: Collection[UUID] = (),
) -> RecordedBatch:
    """Record scores for the remaining images of a chunk.

    Parameters
    ----------
    p_severe
        Probability of severe for every image, or a function of the case's id.
    now
        The time of recording.
    recall_share
        Share of recalls above which the run pauses for confirmation.
    limit
        Most images to record.
    broken
        Images to exclude from the run instead of scoring them.
    """
    work = []
    for one in list_remaining_images(session, chunk, limit):
        if one.lease.image_id in broken:
            failures.exclude_image(session, chunk, one.lease.image_id, reason="It is broken.")
        else:
            work.append(one)
    results = [
        factories.result(one.lease, p_severe(one.lease.case_id) if callable(p_severe) else p_severe)
        for one in work
        if not one.assessed
    ]
    return recording.record(
        session,
        chunk,
        results,
        [one for one in work if one.assessed],
        device="cpu",
        now=now,
        recall_share=recall_share,
    )


def record_severe(session: Session, chunk: Chunk, work: list[RemainingImage]) -> RecordedBatch:
    """Record a severe score for each of these images."""
    return recording.record(
        session,
        chunk,
        [factories.result(one.lease, SEVERE) for one in work],
        [],
        device="cpu",
        now=MONDAY + timedelta(days=1),
        recall_share=0.02,
    )


def score_all_chunks(session: Session, p_severe: float | Callable[[UUID], float]) -> int:
    """Score every chunk of every run, and return the number of images."""
    done = 0
    while (chunk := chunk_leases.acquire(session, worker_id=uuid4(), lease_seconds=60)) is not None:
        done += score_chunk(session, chunk, p_severe).images
        chunk_leases.complete(session, chunk)
    return done


def finish_and_report(session: Session, run_id: UUID) -> RunReport:
    """Finish the runs whose chunks are all done, and return the report of one that has ended."""
    lifecycle.finish_completed(session, now=MONDAY + timedelta(days=2))
    write_report(session, run_id)
    return RunReport.model_validate(runs.find_run(session, run_id).report)


def receive_and_score(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    runtime: Runtime,
    count: int,
) -> list[UUID]:
    """Receive cases of one photograph each, have a worker score them, and return the images."""
    images: list[UUID] = []
    with sessions.begin() as session:
        for number in range(count):
            receipt = factories.receive(session, clinic_id, store=store, files=[photograph(number)])
            images += receipt.pending_image_ids
    assert score_pending(runtime, None) == count
    return images


def activate_and_plan(sessions: sessionmaker[Session], name: str, size: int = 3) -> UUID:
    """Activate a release, plan a run of it in chunks of `size` images, and return the run's id."""
    with sessions.begin() as session:
        activate(session, name)
        return plan_run(session, size=size, name=name).id


def start_and_wait_until_blocked(
    sessions: sessionmaker[Session], call: Callable[[], object]
) -> Future[object]:
    """Start a call in a thread, and return once it waits for a lock."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(call)
    pool.shutdown(wait=False)
    factories.wait_until_blocked(sessions)
    return future

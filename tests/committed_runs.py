"""The steps of `tests.runs`, each in a transaction of its own.

Reports read when rows were written, so the steps of one transaction would look simultaneous.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests import runs as runs_of_tests
from tests.factories import MONDAY
from tests.runs import find_or_add_release, score_chunk

from dermtriage.models import Image
from dermtriage.rescoring import chunk_leases
from dermtriage.rescoring.chunk_leases import Chunk
from dermtriage.rescoring.reports.report import RunReport
from dermtriage.rescoring.scope import OPEN, Scope

Sessions = sessionmaker[Session]

TUESDAY = MONDAY + timedelta(days=1)
SECOND, THIRD, FOURTH = "second", "third", "fourth"

Score = float | Callable[[UUID], float]
"""The score of every image, or a function of the case's id."""


def activate(sessions: Sessions, name: str) -> None:
    with sessions.begin() as session:
        runs_of_tests.activate(session, name)


def add_scored_case(sessions: Sessions, clinic_id: UUID, *scores: float) -> UUID:
    with sessions.begin() as session:
        return runs_of_tests.add_scored_case(session, clinic_id, *scores)


def plan_run(sessions: Sessions, name: str, scope: Scope = OPEN, size: int = 512) -> UUID:
    with sessions.begin() as session:
        find_or_add_release(session, name)
        return runs_of_tests.plan_run(session, scope, size, name).id


def lease_chunk(sessions: Sessions) -> Chunk | None:
    with sessions.begin() as session:
        return chunk_leases.acquire(session, worker_id=uuid4(), lease_seconds=60)


def score_next(sessions: Sessions, chunk: Chunk, score: Score, **options: Any) -> int:
    """Score the next images of a chunk, and return their number."""
    with sessions.begin() as session:
        return score_chunk(session, chunk, score, **options).images


def score_all_chunks(sessions: Sessions, score: Score, broken: Collection[UUID] = ()) -> int:
    done = 0
    while (chunk := lease_chunk(sessions)) is not None:
        done += score_next(sessions, chunk, score, broken=broken)
        with sessions.begin() as session:
            chunk_leases.complete(session, chunk)
    return done


def finish_and_report(sessions: Sessions, run_id: UUID) -> RunReport:
    with sessions.begin() as session:
        return runs_of_tests.finish_and_report(session, run_id)


def images_of(sessions: Sessions, case_ids: Sequence[UUID]) -> list[UUID]:
    with sessions() as session:
        return list(
            session.scalars(select(Image.id).where(Image.case_id.in_(case_ids)).order_by(Image.id))
        )


def compared_photographs(report: RunReport) -> dict[str, int]:
    return {one.release: one.photographs for one in report.drift.compared}

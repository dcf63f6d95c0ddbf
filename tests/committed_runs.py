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
from tests.runs import know, say

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


def scored(sessions: Sessions, clinic_id: UUID, *scores: float) -> UUID:
    with sessions.begin() as session:
        return runs_of_tests.scored(session, clinic_id, *scores)


def plan(sessions: Sessions, name: str, scope: Scope = OPEN, size: int = 512) -> UUID:
    with sessions.begin() as session:
        know(session, name)
        return runs_of_tests.plan(session, scope, size, name).id


def take(sessions: Sessions) -> Chunk | None:
    with sessions.begin() as session:
        return chunk_leases.acquire(session, worker_id=uuid4(), lease_seconds=60)


def score_next(sessions: Sessions, chunk: Chunk, score: Score, **options: Any) -> int:
    """Score the next images of a chunk, and return their number."""
    with sessions.begin() as session:
        return say(session, chunk, score, **options).images


def work_off(sessions: Sessions, score: Score, broken: Collection[UUID] = ()) -> int:
    done = 0
    while (chunk := take(sessions)) is not None:
        done += score_next(sessions, chunk, score, broken=broken)
        with sessions.begin() as session:
            chunk_leases.complete(session, chunk)
    return done


def report_of(sessions: Sessions, run_id: UUID) -> RunReport:
    with sessions.begin() as session:
        return runs_of_tests.report_of(session, run_id)


def images_of(sessions: Sessions, case_ids: Sequence[UUID]) -> list[UUID]:
    with sessions() as session:
        return list(
            session.scalars(select(Image.id).where(Image.case_id.in_(case_ids)).order_by(Image.id))
        )


def compared(report: RunReport) -> dict[str, int]:
    return {one.release: one.photographs for one in report.drift.compared}

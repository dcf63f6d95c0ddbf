"""How long a rescore run worked, and which assessments it wrote meanwhile."""

from datetime import timedelta

from sqlalchemy import ColumnElement, func, select, union
from sqlalchemy.orm import Session

from dermtriage.models import Assessment, RescoreChunk, RescoreFailure, RescoreRun
from dermtriage.rescoring.reports.report import MAX_GAP


def working_time(session: Session, run: RescoreRun) -> timedelta:
    """Return the sum of the times between a run's writes, without those above `MAX_GAP`."""
    moments = union(
        select(RescoreRun.started_at.label("at")).where(RescoreRun.id == run.id),
        select(RescoreChunk.done_at).where(RescoreChunk.run_id == run.id),
        select(RescoreFailure.at).where(RescoreFailure.run_id == run.id),
        select(Assessment.created_at)
        .join(RescoreRun, RescoreRun.release_id == Assessment.release_id)
        .join(
            RescoreChunk,
            Assessment.image_id.between(RescoreChunk.first_image_id, RescoreChunk.last_image_id),
        )
        .where(RescoreRun.id == run.id, RescoreChunk.run_id == run.id, written_during_chunk()),
    ).subquery()
    since_last = moments.c.at - func.lag(moments.c.at).over(order_by=moments.c.at)
    gaps = select(since_last.label("gap")).subquery()
    worked = select(func.sum(gaps.c.gap)).where(gaps.c.gap <= MAX_GAP)
    return session.scalar(worked) or timedelta()


def written_during_chunk() -> ColumnElement[bool]:
    """Return the condition that an assessment was written while its chunk was being scored."""
    return Assessment.created_at.between(
        RescoreRun.started_at, func.coalesce(RescoreChunk.done_at, RescoreRun.ended_at)
    )

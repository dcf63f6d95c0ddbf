"""The figures that operators watch, read from PostgreSQL at each asking."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Integer, case, cast, func, select
from sqlalchemy.orm import Session

from dermtriage.core.enums import Lane, Severity
from dermtriage.core.settings import Settings
from dermtriage.models import (
    AWAITS_RETAKE,
    IS_OPEN,
    Assessment,
    AuditEntry,
    Case,
    PendingImage,
    Release,
    Worker,
)

AGE_BUCKETS = (10, 60, 300, 900, 3600, 14_400, 86_400)
"""Upper bounds of the age of pending images, in seconds."""

RATE_WINDOW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at the system. Ages are in seconds, rates a second."""

    pending_by_age: Mapping[float, int]
    """Upper bound of the age (the last is infinite) to the images no older: cumulative."""
    oldest_unscored_seconds: float
    assessments_per_second: float
    worklist_by_lane: Mapping[Lane, int]
    overdue_by_lane: Mapping[Lane, int]
    unscored_cases: int
    """Open cases without their scores, be they pending or failed."""
    awaiting_retake: int
    live_workers: int
    live_slots: int
    batches: int
    batched_images: int
    """With `batches` the mean batch of the workers that live now."""
    broken_invariants: int


def figures(session: Session, *, now: datetime, settings: Settings) -> Figures:
    """Read all figures."""
    pending, oldest = _pending(session, now)
    lanes, overdue = _worklist(session, now)
    since = now - RATE_WINDOW
    recent = session.scalar(
        select(func.count())
        .select_from(Assessment)
        .join(Release, Release.id == Assessment.release_id)
        .where(Assessment.created_at > since, Release.mode != "shadow")
    )
    fresh = Worker.heartbeat_at > now - timedelta(seconds=settings.slow_after)
    live, slots, batches, completed = session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(Worker.slots), 0),
            func.coalesce(func.sum(Worker.batches), 0),
            func.coalesce(func.sum(Worker.completed), 0),
        ).where(fresh)
    ).one()
    checked = session.scalar(
        select(AuditEntry.detail)
        .where(AuditEntry.action == "invariants.checked")
        .order_by(AuditEntry.id.desc())
        .limit(1)
    )
    return Figures(
        pending_by_age=pending,
        oldest_unscored_seconds=oldest,
        assessments_per_second=(recent or 0) / RATE_WINDOW.total_seconds(),
        worklist_by_lane=lanes,
        overdue_by_lane=overdue,
        unscored_cases=_count(session, IS_OPEN, Case.severity == Severity.UNSCORED),
        awaiting_retake=_count(session, AWAITS_RETAKE),
        live_workers=live,
        live_slots=int(slots),
        batches=int(batches),
        batched_images=int(completed),
        broken_invariants=int(checked["broken"]) if checked else 0,
    )


def _pending(session: Session, now: datetime) -> tuple[dict[float, int], float]:
    columns = [
        func.count().filter(PendingImage.queued_at > now - timedelta(seconds=bound))
        for bound in AGE_BUCKETS
    ]
    *counts, total, oldest = session.execute(
        select(*columns, func.count(), func.min(PendingImage.queued_at))
    ).one()
    by_age = dict(zip((*AGE_BUCKETS, float("inf")), (*counts, total), strict=True))
    return by_age, max(0.0, (now - oldest).total_seconds()) if oldest else 0.0


def _worklist(session: Session, now: datetime) -> tuple[dict[Lane, int], dict[Lane, int]]:
    late = case((Case.due_at < now, 1), else_=0)
    rows = session.execute(
        select(Case.lane, func.count(), cast(func.sum(late), Integer))
        .where(IS_OPEN)
        .group_by(Case.lane)
    ).all()
    open_cases = dict.fromkeys(Lane, 0) | {Lane(lane): count for lane, count, _ in rows}
    overdue = dict.fromkeys(Lane, 0) | {Lane(lane): count for lane, _, count in rows}
    return open_cases, overdue


def _count(session: Session, *conditions: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(Case).where(*conditions)) or 0

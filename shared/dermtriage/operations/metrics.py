"""Figures for operators, read from PostgreSQL whenever they are requested."""

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
"""Time over which the rate of assessments is averaged."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The state of the system at one moment.

    Attributes
    ----------
    pending_by_age
        Upper bound of the age in seconds (the last is infinite) to the number of pending images
        that are not older: cumulative.
    unscored_cases
        Open cases of which a score is pending or has failed.
    awaiting_retake
        Cases that await a retake.
    batches, batched_images
        Batches and images that the live workers have scored since their start.
    broken_invariants
        As the last nightly check found them.
    invariants_checked_at
        When that check ended; None before the first one.
    refused_orphans
        Orphans that the last orphan sweep left in place because they were too many; else 0.
    """

    pending_by_age: Mapping[float, int]
    oldest_unscored_seconds: float
    assessments_per_second: float
    worklist_by_lane: Mapping[Lane, int]
    overdue_by_lane: Mapping[Lane, int]
    unscored_cases: int
    awaiting_retake: int
    live_workers: int
    live_slots: int
    batches: int
    batched_images: int
    broken_invariants: int
    invariants_checked_at: datetime | None
    refused_orphans: int


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
    live = Worker.heartbeat_at > now - timedelta(seconds=settings.slow_after)
    live_workers, slots, batches, completed = session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(Worker.slots), 0),
            func.coalesce(func.sum(Worker.batches), 0),
            func.coalesce(func.sum(Worker.completed), 0),
        ).where(live)
    ).one()
    checked = last_entry(session, "invariants.checked")
    swept = last_entry(session, "orphans.swept")
    return Figures(
        pending_by_age=pending,
        oldest_unscored_seconds=oldest,
        assessments_per_second=(recent or 0) / RATE_WINDOW.total_seconds(),
        worklist_by_lane=lanes,
        overdue_by_lane=overdue,
        unscored_cases=_count(session, IS_OPEN, Case.severity == Severity.UNSCORED),
        awaiting_retake=_count(session, AWAITS_RETAKE),
        live_workers=live_workers,
        live_slots=int(slots),
        batches=int(batches),
        batched_images=int(completed),
        broken_invariants=int(checked.detail["broken"]) if checked else 0,
        invariants_checked_at=checked.at if checked else None,
        refused_orphans=int(swept.detail["refused"]) if swept else 0,
    )


def last_entry(session: Session, action: str) -> AuditEntry | None:
    """Return the last entry of the audit log for a kind of action; None if there was none."""
    return session.scalar(
        select(AuditEntry)
        .where(AuditEntry.action == action)
        .order_by(AuditEntry.id.desc())
        .limit(1)
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

"""The queue of heat maps: severe images whose map is to be drawn once no image is pending.

A row outlasts the worker that drew when it died. Drawing twice does no harm, so the rows have no
fencing tokens. All times are the database's.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from dermtriage.core.enums import Severity
from dermtriage.models import Case, PendingHeatMap


@dataclass(frozen=True, slots=True)
class HeatMapLease:
    """One heat map that a worker draws.

    Attributes
    ----------
    attempts
        The number of attempts to draw it, this one included.
    """

    image_id: UUID
    release_id: int
    attempts: int


def queue_heat_maps(
    session: Session, cases: Iterable[Case], image_ids: Collection[UUID], *, release_id: int
) -> None:
    """Queue the maps of those of these images that are severe.

    Parameters
    ----------
    cases
        To which the images belong; the caller holds the locks on their rows.
    release_id
        The release that found them severe.
    """
    severe = [
        image.id
        for case in cases
        for image in case.images
        if image.severity is Severity.SEVERE and image.id in image_ids
    ]
    if not severe:
        return
    rows = insert(PendingHeatMap).values(
        [{"image_id": image_id, "release_id": release_id} for image_id in sorted(severe)]
    )
    session.execute(
        rows.on_conflict_do_update(
            index_elements=["image_id"],
            set_={"release_id": release_id, "attempts": 0, "not_before": None},
        )
    )


def waiting_heat_maps(session: Session, limit: int) -> Sequence[PendingHeatMap]:
    """Return the heat maps that may be drawn now; those that were tried before come last."""
    return session.scalars(
        select(PendingHeatMap)
        .where(_drawable())
        .order_by(PendingHeatMap.attempts, PendingHeatMap.queued_at)
        .limit(limit)
        .execution_options(populate_existing=True)
    ).all()


def lease_heat_map(
    session: Session, *, tried_before: bool, lease_seconds: float
) -> HeatMapLease | None:
    """Lease the next heat map; None if there is none.

    Parameters
    ----------
    tried_before
        Whether to take one that was tried before. Its worker may have died of it: the caller's
        process does nothing else meanwhile.
    lease_seconds
        For how long no other worker draws it.
    """
    tried = PendingHeatMap.attempts > 0
    chosen = (
        select(PendingHeatMap.image_id)
        .where(_drawable(), tried if tried_before else ~tried)
        .order_by(PendingHeatMap.attempts, PendingHeatMap.queued_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    leased = session.execute(
        update(PendingHeatMap)
        .where(PendingHeatMap.image_id == chosen)
        .values(
            attempts=PendingHeatMap.attempts + 1,
            not_before=func.now() + timedelta(seconds=lease_seconds),
        )
        .returning(PendingHeatMap.image_id, PendingHeatMap.release_id, PendingHeatMap.attempts)
    ).one_or_none()
    return HeatMapLease(*leased) if leased else None


def remove_heat_map(session: Session, lease: HeatMapLease) -> None:
    """Remove a heat map from the queue: it is stored, or was tried too often."""
    session.execute(delete(PendingHeatMap).where(_leased(lease)))


def release_heat_map(
    session: Session, lease: HeatMapLease, *, delay: float, costs_attempt: bool
) -> None:
    """Have a heat map drawn later.

    Parameters
    ----------
    delay
        Seconds for which no worker draws it.
    costs_attempt
        Whether drawing it failed by itself, and not in an outage.
    """
    session.execute(
        update(PendingHeatMap)
        .where(_leased(lease))
        .values(
            attempts=PendingHeatMap.attempts - (0 if costs_attempt else 1),
            not_before=func.now() + timedelta(seconds=delay),
        )
    )


def _drawable() -> ColumnElement[bool]:
    return or_(PendingHeatMap.not_before.is_(None), PendingHeatMap.not_before <= func.now())


def _leased(lease: HeatMapLease) -> ColumnElement[bool]:
    # Another release may have queued it anew meanwhile.
    return (PendingHeatMap.image_id == lease.image_id) & (
        PendingHeatMap.release_id == lease.release_id
    )

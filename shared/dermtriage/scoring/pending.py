"""Pending images: which of them a worker may lease now, and in which order.

All times are the database's, so that no worker's clock counts.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dermtriage.models import PendingImage

URGENCY: tuple[InstrumentedAttribute[Any], ...] = (
    PendingImage.priority_rank,
    PendingImage.due_at,
    PendingImage.image_id,
)
"""The columns by which pending images are ordered, the most urgent first."""


def unleased() -> ColumnElement[bool]:
    """Return the condition that no running lease holds an image."""
    return or_(PendingImage.lease_expires_at.is_(None), PendingImage.lease_expires_at <= func.now())


def leasable(max_attempts: int) -> ColumnElement[bool]:
    """Return the condition that a worker may lease an image now."""
    return and_(
        unleased(),
        or_(PendingImage.not_before.is_(None), PendingImage.not_before <= func.now()),
        PendingImage.attempts < max_attempts,
    )


def count_leasable(session: Session, limit: int, *, max_attempts: int) -> int:
    """Return the number of images that may be leased now, counted up to `limit`."""
    found = select(PendingImage.image_id).where(leasable(max_attempts)).limit(limit).subquery()
    return session.scalar(select(func.count()).select_from(found)) or 0


def most_urgent_images(session: Session, limit: int, *, max_attempts: int) -> Sequence[UUID]:
    """Return the images that may be leased now, the most urgent first."""
    return session.scalars(
        select(PendingImage.image_id).where(leasable(max_attempts)).order_by(*URGENCY).limit(limit)
    ).all()

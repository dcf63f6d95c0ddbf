"""Pending images: which of them a worker may lease now, and in which order.

All times are the database's, so that no worker's clock counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dermtriage.models import PendingImage

URGENCY: tuple[InstrumentedAttribute[Any], ...] = (
    PendingImage.priority_rank,
    PendingImage.due_at,
    PendingImage.image_id,
)
"""The columns by which pending images are ordered, the most urgent first."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What may be leased now."""

    images: bool
    """Whether there are images that may be scored in batches."""
    suspects: bool
    """Whether there are suspects, which are scored alone."""


def is_suspect() -> ColumnElement[bool]:
    """Return the condition that an image that no running lease holds is a suspect.

    It was being scored when its worker died, and may be the reason: it has the mark, or its lease
    ran out. The partial index of the table has the same condition.
    """
    return or_(PendingImage.suspect, PendingImage.lease_token.is_not(None))


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


def find_backlog(session: Session, *, max_attempts: int) -> Backlog:
    """Return what may be leased now; one short query."""
    waiting = exists().where(leasable(max_attempts), ~is_suspect())
    suspected = exists().where(leasable(max_attempts), is_suspect())
    return Backlog(*session.execute(select(waiting, suspected)).one())


def count_leasable(session: Session, limit: int, *, max_attempts: int) -> int:
    """Return the number of images that may be leased in batches now, counted up to `limit`."""
    found = (
        select(PendingImage.image_id)
        .where(leasable(max_attempts), ~is_suspect())
        .limit(limit)
        .subquery()
    )
    return session.scalar(select(func.count()).select_from(found)) or 0


def most_urgent_images(session: Session, limit: int, *, max_attempts: int) -> Sequence[UUID]:
    """Return the images that may be leased now, the most urgent first."""
    return session.scalars(
        select(PendingImage.image_id).where(leasable(max_attempts)).order_by(*URGENCY).limit(limit)
    ).all()

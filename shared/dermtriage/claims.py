"""Workers' claims on pending images: take, keep, give back.

The order of scoring, the forming of batches and the safety against dying processes are decided
here, in PostgreSQL. All times are the database's, so that no worker's clock counts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import cast
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from dermtriage.models import Case, PendingImage, lease_tokens

MAX_ERROR = 500

INPUTS = (Case.age_approx, Case.sex, Case.anatom_site)
"""What an ensemble may use of a referral."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One image lent to one worker; `token` fences what a slower one writes later."""

    image_id: UUID
    case_id: UUID
    token: int
    attempts: int
    """How often the image has been tried, this time included."""
    inputs: Mapping[str, str | int] = field(default_factory=dict)
    """What the referral says that an ensemble may use; what it does not say is not there."""


def claimable() -> ColumnElement[bool]:
    """Return the condition that a pending image may be claimed now."""
    return and_(
        or_(PendingImage.lease_expires_at.is_(None), PendingImage.lease_expires_at <= func.now()),
        or_(PendingImage.not_before.is_(None), PendingImage.not_before <= func.now()),
    )


def share(pending: int, slots: int, batch: int) -> int:
    """Return how many of `pending` images one of `slots` live threads may take.

    At most a batch, and no more than leaves work for the others: so a lone image waits for
    nothing, and batches fill by themselves under load.
    """
    return max(1, min(batch, ceil(pending / max(1, slots))))


def take(
    session: Session,
    *,
    worker_id: UUID,
    first: UUID | None,
    batch: int,
    slots: int,
    lease_seconds: float,
    max_attempts: int,
) -> list[Lease]:
    """Claim `first`, if it still waits, and the most urgent other images up to a fair share.

    An image that was tried before is claimed alone: it may be what killed its last worker.

    Parameters
    ----------
    batch
        The most images to take.
    slots
        The threads that are live now, this one included.
    """
    waiting = (claimable(), PendingImage.attempts < max_attempts)
    seen = select(PendingImage.image_id).where(*waiting).limit(batch * max(1, slots)).subquery()
    wanted = share(session.scalar(select(func.count()).select_from(seen)) or 0, slots, batch)

    candidates = select(PendingImage.image_id, PendingImage.attempts).where(*waiting)
    picked: list[Row[UUID, int]] = []
    others = candidates
    if first is not None:
        others = candidates.where(PendingImage.image_id != first)
        picked += session.execute(
            candidates.where(PendingImage.image_id == first).with_for_update(skip_locked=True)
        ).all()
    if len(picked) < wanted:
        picked += session.execute(
            others.order_by(PendingImage.priority_rank, PendingImage.due_at, PendingImage.image_id)
            .limit(wanted - len(picked))
            .with_for_update(skip_locked=True)
        ).all()
    if not picked:
        return []
    if picked[0].attempts > 0:
        chosen = [picked[0].image_id]
    else:
        chosen = [row.image_id for row in picked if row.attempts == 0]

    leased = session.execute(
        update(PendingImage)
        .where(PendingImage.image_id.in_(chosen), PendingImage.case_id == Case.id)
        .values(
            lease_token=lease_tokens.next_value(),
            lease_expires_at=func.now() + timedelta(seconds=lease_seconds),
            worker_id=worker_id,
            attempts=PendingImage.attempts + 1,
        )
        .returning(
            PendingImage.image_id,
            PendingImage.case_id,
            PendingImage.lease_token,
            PendingImage.attempts,
            *INPUTS,
        )
    )
    leases = {
        image_id: _lease(image_id, case_id, token, attempts, told(inputs))
        for image_id, case_id, token, attempts, *inputs in leased
    }
    return [leases[image_id] for image_id in chosen]


def _lease(
    image_id: UUID,
    case_id: UUID,
    token: int | None,
    attempts: int,
    inputs: Mapping[str, str | int],
) -> Lease:
    # The column may be empty for the images that nobody holds; these are held.
    return Lease(image_id, case_id, cast(int, token), attempts, inputs)


def told(values: Sequence[str | int | None]) -> dict[str, str | int]:
    """Name the values of `INPUTS` that a case's referral gives; see `Lease.inputs`."""
    return {
        column.key: value for column, value in zip(INPUTS, values, strict=True) if value is not None
    }


def _held(leases: Sequence[Lease]) -> ColumnElement[bool]:
    pairs = [(lease.image_id, lease.token) for lease in leases]
    return tuple_(PendingImage.image_id, PendingImage.lease_token).in_(pairs)


def keep(session: Session, *, tokens: Collection[int], lease_seconds: float) -> None:
    """Prolong running leases; those being written at this moment need it no more."""
    held = (
        select(PendingImage.image_id)
        .where(PendingImage.lease_token.in_(tokens))
        .with_for_update(skip_locked=True)
    )
    session.execute(
        update(PendingImage)
        .where(PendingImage.image_id.in_(held))
        .values(lease_expires_at=func.now() + timedelta(seconds=lease_seconds))
    )


def give_back(session: Session, leases: Sequence[Lease], *, delay: float, error: str) -> None:
    """Return images that an outage kept from being scored: it costs them no attempt.

    Parameters
    ----------
    delay
        Seconds for which nobody is to try again.
    """
    session.execute(
        update(PendingImage)
        .where(_held(leases))
        .values(
            lease_token=None,
            lease_expires_at=None,
            worker_id=None,
            attempts=PendingImage.attempts - 1,
            not_before=func.now() + timedelta(seconds=delay),
            last_error=error[:MAX_ERROR],
        )
    )


def retry_later(session: Session, lease: Lease, *, delay: float, error: str) -> None:
    """Return an image that failed by itself; the attempt counts."""
    session.execute(
        update(PendingImage)
        .where(_held([lease]))
        .values(
            lease_token=None,
            lease_expires_at=None,
            worker_id=None,
            not_before=func.now() + timedelta(seconds=delay),
            last_error=error[:MAX_ERROR],
        )
    )


def hold(session: Session, leases: Sequence[Lease]) -> set[UUID]:
    """Lock the images whose leases still hold, until the caller's transaction ends."""
    rows = session.scalars(
        select(PendingImage.image_id)
        .where(_held(leases))
        .order_by(PendingImage.image_id)
        .with_for_update()
    )
    return set(rows)


def most_urgent(session: Session, limit: int, *, max_attempts: int) -> list[UUID]:
    """Return the images that any worker could claim now, the most urgent first."""
    return list(
        session.scalars(
            select(PendingImage.image_id)
            .where(claimable(), PendingImage.attempts < max_attempts)
            .order_by(PendingImage.priority_rank, PendingImage.due_at, PendingImage.image_id)
            .limit(limit)
        )
    )


def exhausted(session: Session, *, max_attempts: int, limit: int = 100) -> list[Lease]:
    """Take over images that used up their attempts and that nobody works on, by case."""
    spent = (
        select(PendingImage.image_id)
        .where(
            PendingImage.attempts >= max_attempts,
            or_(
                PendingImage.lease_expires_at.is_(None),
                PendingImage.lease_expires_at <= func.now(),
            ),
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = session.execute(
        update(PendingImage)
        .where(PendingImage.image_id.in_(spent))
        .values(lease_token=lease_tokens.next_value(), lease_expires_at=func.now())
        .returning(
            PendingImage.image_id,
            PendingImage.case_id,
            PendingImage.lease_token,
            PendingImage.attempts,
        )
    )
    return sorted(
        (_lease(*row, {}) for row in taken), key=lambda lease: (lease.case_id, lease.image_id)
    )

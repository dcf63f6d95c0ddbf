"""Workers' claims on pending images: take, keep, give back.

The order of scoring, the forming of batches and the safety against dying processes are decided
here, in PostgreSQL. All times are the database's, so that no worker's clock counts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    Integer,
    Interval,
    Row,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from dermtriage.database.bulk import equals_any
from dermtriage.models import Case, PendingImage, lease_tokens

MAX_ERROR = 500

METADATA_COLUMNS = (Case.age_approx, Case.sex, Case.anatom_site)
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


# What workers ask before every batch is built once.
_WAITING = and_(
    or_(PendingImage.lease_expires_at.is_(None), PendingImage.lease_expires_at <= func.now()),
    or_(PendingImage.not_before.is_(None), PendingImage.not_before <= func.now()),
    PendingImage.attempts < bindparam("max_attempts", type_=Integer),
)
_URGENCY = (PendingImage.priority_rank, PendingImage.due_at, PendingImage.image_id)
_MOST = bindparam("most", type_=Integer)
_MOST_URGENT = select(PendingImage.image_id).where(_WAITING).order_by(*_URGENCY).limit(_MOST)
_NUMBER = select(func.count()).select_from(
    select(PendingImage.image_id).where(_WAITING).limit(_MOST).subquery()
)
_CANDIDATES = (
    select(PendingImage.image_id, PendingImage.attempts)
    .where(_WAITING)
    .with_for_update(skip_locked=True)
)
_BY_ID = _CANDIDATES.where(PendingImage.image_id == bindparam("first"))
_OTHERS = (
    _CANDIDATES.where(PendingImage.image_id.is_distinct_from(bindparam("first")))
    .order_by(*_URGENCY)
    .limit(_MOST)
)
_LEASE = (
    update(PendingImage)
    .where(equals_any(PendingImage.image_id, "chosen"), PendingImage.case_id == Case.id)
    .values(
        lease_token=lease_tokens.next_value(),
        lease_expires_at=func.now() + bindparam("lease_time", type_=Interval),
        worker_id=bindparam("by_worker"),
        attempts=PendingImage.attempts + 1,
    )
    .returning(
        PendingImage.image_id,
        PendingImage.case_id,
        PendingImage.lease_token,
        PendingImage.attempts,
        *METADATA_COLUMNS,
    )
)
# No two leases have the same token.
_HELD = and_(
    equals_any(PendingImage.image_id, "images"), equals_any(PendingImage.lease_token, "tokens")
)
_HOLD = select(PendingImage.image_id).where(_HELD).order_by(PendingImage.image_id).with_for_update()


def fair_share(pending: int, slots: int, batch: int) -> int:
    """Return how many of `pending` images one of `slots` live threads may take.

    At most a batch, and no more than leaves work for the others: so a lone image waits for
    nothing, and batches fill by themselves under load.
    """
    return max(1, min(batch, ceil(pending / max(1, slots))))


def acquire_leases(
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
    bound = {"max_attempts": max_attempts, "first": first}
    pending = session.scalar(_NUMBER, bound | {"most": batch * max(1, slots)})
    wanted = fair_share(pending or 0, slots, batch)
    picked: list[Row[UUID, int]] = []
    if first is not None:
        picked += session.execute(_BY_ID, bound).all()
    if len(picked) < wanted:
        picked += session.execute(_OTHERS, bound | {"most": wanted - len(picked)}).all()
    if not picked:
        return []
    if picked[0].attempts > 0:
        chosen = [picked[0].image_id]
    else:
        chosen = [row.image_id for row in picked if row.attempts == 0]

    leased = session.execute(
        _LEASE,
        {
            "chosen": chosen,
            "by_worker": worker_id,
            "lease_time": timedelta(seconds=lease_seconds),
        },
        execution_options={"synchronize_session": False},
    )
    leases = {
        image_id: _lease(image_id, case_id, token, attempts, metadata_inputs(inputs))
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


def metadata_inputs(values: Sequence[str | int | None]) -> dict[str, str | int]:
    """Name the values of `INPUTS` that a case's referral gives; see `Lease.inputs`."""
    return {
        column.key: value
        for column, value in zip(METADATA_COLUMNS, values, strict=True)
        if value is not None
    }


def _bound(leases: Sequence[Lease]) -> dict[str, Any]:
    """Return the parameters of `_HELD`."""
    return {
        "images": [lease.image_id for lease in leases],
        "tokens": [lease.token for lease in leases],
    }


def renew_leases(session: Session, *, tokens: Collection[int], lease_seconds: float) -> None:
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


def release_leases(session: Session, leases: Sequence[Lease], *, delay: float, error: str) -> None:
    """Return images that an outage kept from being scored: it costs them no attempt.

    Parameters
    ----------
    delay
        Seconds for which nobody is to try again.
    """
    session.execute(
        update(PendingImage)
        .where(_HELD)
        .values(
            lease_token=None,
            lease_expires_at=None,
            worker_id=None,
            attempts=PendingImage.attempts - 1,
            not_before=func.now() + timedelta(seconds=delay),
            last_error=error[:MAX_ERROR],
        ),
        _bound(leases),
    )


def retry_later(session: Session, lease: Lease, *, delay: float, error: str) -> None:
    """Return an image that failed by itself; the attempt counts."""
    session.execute(
        update(PendingImage)
        .where(_HELD)
        .values(
            lease_token=None,
            lease_expires_at=None,
            worker_id=None,
            not_before=func.now() + timedelta(seconds=delay),
            last_error=error[:MAX_ERROR],
        ),
        _bound([lease]),
    )


def lock_held(session: Session, leases: Sequence[Lease]) -> set[UUID]:
    """Lock the images whose leases still hold, until the caller's transaction ends."""
    return set(session.scalars(_HOLD, _bound(leases)))


def most_urgent_images(session: Session, limit: int, *, max_attempts: int) -> Sequence[UUID]:
    """Return the images that any worker could claim now, the most urgent first."""
    return session.scalars(_MOST_URGENT, {"most": limit, "max_attempts": max_attempts}).all()


def take_over_exhausted(session: Session, *, max_attempts: int, limit: int = 100) -> list[Lease]:
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

"""Lease pending images: the most urgent ones in batches, and suspects one at a time."""

from collections.abc import Sequence
from datetime import timedelta
from math import ceil
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row, Select, func, select, update
from sqlalchemy.orm import Session

from dermtriage.models import Case, PendingImage, lease_tokens
from dermtriage.scoring.leases import METADATA_COLUMNS, Lease, metadata_inputs
from dermtriage.scoring.pending import (
    URGENCY,
    count_leasable,
    is_suspect,
    leasable,
    unleased,
)


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
    """Lease `first`, if it is still pending, and the most urgent other images, up to a fair share.

    Suspects are left to `acquire_suspect`. An image that failed before is leased alone, since it
    would only have its batch halved. No attempt is counted yet: if the worker dies, nobody knows
    which of the images that it was scoring is to blame.

    Parameters
    ----------
    batch
        The most images to lease.
    slots
        The number of live threads, this one included.
    """
    pending = count_leasable(session, batch * max(1, slots), max_attempts=max_attempts)
    wanted = fair_share(pending, slots, batch)
    candidates = _lock_leasable(max_attempts)
    picked: list[Row[UUID, int]] = []
    if first is not None:
        picked += session.execute(candidates.where(PendingImage.image_id == first)).all()
    if len(picked) < wanted:
        others = candidates.where(PendingImage.image_id.is_distinct_from(first))
        picked += session.execute(others.order_by(*URGENCY).limit(wanted - len(picked))).all()
    if not picked:
        return []
    if picked[0].attempts > 0:
        chosen = [picked[0].image_id]
    else:
        chosen = [row.image_id for row in picked if row.attempts == 0]
    leases = {
        lease.image_id: lease
        for lease in _lease(session, chosen, worker_id, lease_seconds, uncounted=1)
    }
    return [leases[image_id] for image_id in chosen]


def acquire_suspect(
    session: Session, *, worker_id: UUID, lease_seconds: float, max_attempts: int
) -> Lease | None:
    """Lease the most urgent suspect; return None if there is none.

    The caller's process scores nothing else until this lease ends. So the attempt is counted
    before it begins: if the process dies, this image is to blame.
    """
    image_id = session.scalar(
        select(PendingImage.image_id)
        .where(leasable(max_attempts), is_suspect())
        .order_by(*URGENCY)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if image_id is None:
        return None
    counted: dict[str, Any] = {"attempts": PendingImage.attempts + 1, "suspect": True}
    (lease,) = _lease(session, [image_id], worker_id, lease_seconds, **counted)
    return lease


def take_over_exhausted(session: Session, *, max_attempts: int, limit: int = 100) -> list[Lease]:
    """Lease the images that have no attempts left and that no worker holds, sorted by case.

    Their last workers can write nothing any more, since the token has changed. As by every other
    writer, their cases are locked first, in the order of their ids; those that another writer has
    locked are left to the next call.
    """
    exhausted = (PendingImage.attempts >= max_attempts, unleased())
    of_exhausted = session.scalars(select(PendingImage.case_id).where(*exhausted).limit(limit))
    locked = session.scalars(
        select(Case.id)
        .where(Case.id.in_(of_exhausted.all()))
        .order_by(Case.id)
        .with_for_update(skip_locked=True)
    ).all()
    if not locked:
        return []
    images = (
        select(PendingImage.image_id)
        .where(PendingImage.case_id.in_(locked), *exhausted)
        .with_for_update(skip_locked=True)
    )
    leases = _lease(session, images, None, 0.0)
    return sorted(leases, key=lambda lease: (lease.case_id, lease.image_id))


def _lock_leasable(max_attempts: int) -> Select[UUID, int]:
    return (
        select(PendingImage.image_id, PendingImage.attempts)
        .where(leasable(max_attempts), ~is_suspect())
        .with_for_update(skip_locked=True)
    )


def _lease(
    session: Session,
    images: Sequence[UUID] | Select[UUID],
    worker_id: UUID | None,
    seconds: float,
    *,
    uncounted: int = 0,
    **changes: Any,
) -> list[Lease]:
    """Lease images that the caller has locked, or locks by its query.

    Parameters
    ----------
    uncounted
        Attempts that the leases have beside those that are counted.
    changes
        Further columns to set.
    """
    leased = session.execute(
        update(PendingImage)
        .where(PendingImage.image_id.in_(images), PendingImage.case_id == Case.id)
        .values(
            lease_token=lease_tokens.next_value(),
            lease_expires_at=func.now() + timedelta(seconds=seconds),
            worker_id=worker_id,
            **changes,
        )
        .returning(
            PendingImage.image_id,
            PendingImage.case_id,
            PendingImage.lease_token,
            PendingImage.attempts,
            *METADATA_COLUMNS,
        )
    )
    return [
        # The column is empty for the images that no worker holds; these are held.
        Lease(image_id, case_id, cast(int, token), attempts + uncounted, metadata_inputs(inputs))
        for image_id, case_id, token, attempts, *inputs in leased
    ]

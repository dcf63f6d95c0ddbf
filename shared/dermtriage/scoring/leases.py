"""Workers' leases on pending images: acquire, renew, release.

Leases decide the order of scoring, form the batches, and keep the images of a worker that died from
being lost. All times are the database's, so that no worker's clock counts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import cast
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, func, select, update
from sqlalchemy.orm import Session

from dermtriage.models import Case, PendingImage, lease_tokens
from dermtriage.scoring.pending import URGENCY, count_leasable, leasable, unleased

MAX_ERROR = 500

METADATA_COLUMNS = (Case.age_approx, Case.sex, Case.anatom_site)
"""The metadata of a case that an ensemble may use."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One image leased to one worker.

    Attributes
    ----------
    token
        The fencing token: what a worker writes counts only while its token is the image's.
    attempts
        The number of attempts to score the image, this one included.
    inputs
        The metadata of the case that an ensemble may use; values that are not known are left out.
    """

    image_id: UUID
    case_id: UUID
    token: int
    attempts: int
    inputs: Mapping[str, str | int] = field(default_factory=dict)


def metadata_inputs(values: Sequence[str | int | None]) -> dict[str, str | int]:
    """Return the values of `METADATA_COLUMNS` by name, without those that are not known."""
    return {
        column.key: value
        for column, value in zip(METADATA_COLUMNS, values, strict=True)
        if value is not None
    }


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

    An image that was tried before is leased alone: it may have killed its last worker.

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
            *METADATA_COLUMNS,
        )
    )
    leases = {
        image_id: _lease(image_id, case_id, token, attempts, metadata_inputs(inputs))
        for image_id, case_id, token, attempts, *inputs in leased
    }
    return [leases[image_id] for image_id in chosen]


def renew_leases(session: Session, *, tokens: Collection[int], lease_seconds: float) -> None:
    """Extend running leases; the images that are being written at this moment are skipped."""
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
    """Release images that an outage kept from being scored: the attempt does not count.

    Parameters
    ----------
    delay
        Seconds for which no worker may lease them.
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
    """Release an image that could not be scored; the attempt counts.

    Parameters
    ----------
    delay
        Seconds for which no worker may lease it.
    """
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


def lock_held(session: Session, leases: Sequence[Lease]) -> set[UUID]:
    """Lock the images whose leases still hold until the end of the caller's transaction."""
    return set(
        session.scalars(
            select(PendingImage.image_id)
            .where(_held(leases))
            .order_by(PendingImage.image_id)
            .with_for_update()
        )
    )


def take_over_exhausted(session: Session, *, max_attempts: int, limit: int = 100) -> list[Lease]:
    """Lease the images that have no attempts left and that no worker holds, sorted by case.

    Their last workers can write nothing any more, since the token has changed.
    """
    exhausted = (
        select(PendingImage.image_id)
        .where(PendingImage.attempts >= max_attempts, unleased())
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = session.execute(
        update(PendingImage)
        .where(PendingImage.image_id.in_(exhausted))
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


def _lock_leasable(max_attempts: int) -> Select[UUID, int]:
    return (
        select(PendingImage.image_id, PendingImage.attempts)
        .where(leasable(max_attempts))
        .with_for_update(skip_locked=True)
    )


def _held(leases: Sequence[Lease]) -> ColumnElement[bool]:
    """Return the condition that an image is held by one of the leases: no token occurs twice."""
    return and_(
        PendingImage.image_id.in_([lease.image_id for lease in leases]),
        PendingImage.lease_token.in_([lease.token for lease in leases]),
    )


def _lease(
    image_id: UUID,
    case_id: UUID,
    token: int | None,
    attempts: int,
    inputs: Mapping[str, str | int],
) -> Lease:
    # The column is empty for the images that no worker holds; these are held.
    return Lease(image_id, case_id, cast(int, token), attempts, inputs)

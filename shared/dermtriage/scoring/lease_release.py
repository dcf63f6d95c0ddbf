"""End leases on pending images that got no score: after an outage, a failure, or a dying worker."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, cast, func, select, update
from sqlalchemy.orm import Session

from dermtriage.models import PendingImage
from dermtriage.scoring.leases import MAX_ERROR, Lease, lock_held

_UNLEASED: dict[str, Any] = {"lease_token": None, "lease_expires_at": None, "worker_id": None}

_UNCOUNTED = PendingImage.attempts - cast(PendingImage.suspect, Integer)
"""The attempts without the one under way: only that at a suspect was counted when it began."""


def release_leases(session: Session, leases: Sequence[Lease], *, delay: float, error: str) -> None:
    """Release images that an outage kept from being scored: the attempt does not count.

    Parameters
    ----------
    delay
        Seconds for which no worker may lease them.
    """
    _release(session, leases, delay=delay, error=error, attempts=_UNCOUNTED)


def retry_later(session: Session, lease: Lease, *, delay: float, error: str) -> None:
    """Release an image that failed by itself; the attempt counts.

    Its worker lives, so it is no suspect any more.

    Parameters
    ----------
    delay
        Seconds for which no worker may lease it.
    """
    _release(session, [lease], delay=delay, error=error, attempts=lease.attempts, suspect=False)


def release_as_suspects(
    session: Session, leases: Sequence[Lease], *, delay: float, error: str
) -> None:
    """Release images of which one may have broken the device: each is tried alone from now on.

    Only the attempt at an image that was alone already counts.

    Parameters
    ----------
    delay
        Seconds for which no worker may lease them.
    """
    _release(session, leases, delay=delay, error=error, suspect=True)


def release_all_of_worker(
    session: Session, *, worker_id: UUID, suspects: Collection[int], error: str
) -> None:
    """Release all images of a worker that is about to end itself, to be leased at once.

    Images that are being written at this moment are skipped: their leases expire if they are not
    written after all.

    Parameters
    ----------
    suspects
        Tokens of the leases on images that may be why it ends. Only these become suspects.
    error
        Kept with the suspects.
    """
    held = (
        select(PendingImage.image_id)
        .where(PendingImage.worker_id == worker_id, PendingImage.lease_token.is_not(None))
        .with_for_update(skip_locked=True)
    )
    session.execute(
        update(PendingImage)
        .where(PendingImage.image_id.in_(held), PendingImage.lease_token.in_(suspects))
        .values(**_UNLEASED, suspect=True, last_error=error[:MAX_ERROR])
    )
    session.execute(
        update(PendingImage)
        .where(PendingImage.image_id.in_(held))
        .values(**_UNLEASED, attempts=_UNCOUNTED)
    )


def _release(
    session: Session, leases: Sequence[Lease], *, delay: float, error: str, **changes: Any
) -> None:
    """End those of the leases that are still held, and set further columns of their images."""
    session.execute(
        update(PendingImage)
        .where(PendingImage.image_id.in_(lock_held(session, leases)))
        .values(
            **_UNLEASED,
            **changes,
            not_before=func.now() + timedelta(seconds=delay),
            last_error=error[:MAX_ERROR],
        )
    )

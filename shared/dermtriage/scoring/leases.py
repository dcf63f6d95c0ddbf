"""A worker's lease on a pending image: what it is, how it is renewed, and whether it still holds.

Leases decide the order of scoring, form the batches, and keep the images of a worker that died from
being lost. All times are the database's, so that no worker's clock counts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, func, select, update
from sqlalchemy.orm import Session

from dermtriage.models import Case, PendingImage

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


def lock_held(session: Session, leases: Sequence[Lease]) -> set[UUID]:
    """Lock the images whose leases still hold until the end of the caller's transaction.

    They are locked in the order of their ids, as by every other writer of pending images.
    """
    return set(
        session.scalars(
            select(PendingImage.image_id)
            .where(
                and_(
                    # No token occurs twice, so that each image is held by its own lease.
                    PendingImage.image_id.in_([lease.image_id for lease in leases]),
                    PendingImage.lease_token.in_([lease.token for lease in leases]),
                )
            )
            .order_by(PendingImage.image_id)
            .with_for_update()
        )
    )

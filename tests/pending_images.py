"""Pending images for the tests of leases."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session
from tests import factories
from tests.factories import MONDAY

from dermtriage.models import PendingImage
from dermtriage.scoring.leases import Lease

EXPIRED = -1.0
"""Seconds: a lease, or a delay, that has run out as soon as it is written."""


def pending(session: Session, image_id: UUID) -> PendingImage:
    """Return the pending image as the database has it now."""
    return session.get_one(PendingImage, image_id, populate_existing=True)


def images_of(leases: Sequence[Lease]) -> list[UUID]:
    """Return the images of some leases."""
    return [lease.image_id for lease in leases]


def backlog(session: Session, clinic_id: UUID, count: int) -> list[UUID]:
    """Receive cases of one image each, a minute apart, and return the images in that order."""
    return [
        factories.receive(
            session, clinic_id, now=MONDAY + timedelta(minutes=minute)
        ).pending_image_ids[0]
        for minute in range(count)
    ]

"""Leases that are released, after an outage or a failure."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import lease_images
from tests.pending_images import EXPIRED, backlog, images_of, pending

from dermtriage.scoring.leases import (
    MAX_ERROR,
    release_leases,
    retry_later,
)


def test_a_release_costs_no_attempt_and_delays_the_next(session: Session, clinic_id: UUID) -> None:
    images = backlog(session, clinic_id, 2)
    leases = lease_images(session)
    release_leases(session, leases, delay=60, error="outage: " + "x" * 600)
    assert lease_images(session) == []
    row = pending(session, images[0])
    assert (row.attempts, row.lease_token, row.worker_id) == (0, None, None)
    assert row.last_error is not None
    assert len(row.last_error) == MAX_ERROR
    assert row.not_before == session.scalar(select(func.now())) + timedelta(seconds=60)
    release_leases(session, leases, delay=EXPIRED, error="")  # these leases hold no more
    assert lease_images(session) == []


def test_released_images_are_leased_together_again(session: Session, clinic_id: UUID) -> None:
    images = backlog(session, clinic_id, 3)
    release_leases(session, lease_images(session), delay=EXPIRED, error="outage")
    again = lease_images(session)
    assert images_of(again) == images
    assert {lease.attempts for lease in again} == {1}


def test_an_outage_during_a_second_attempt_keeps_the_first(
    session: Session, clinic_id: UUID
) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    factories.lease_image(session, image_id, lease_seconds=EXPIRED)
    release_leases(session, lease_images(session), delay=EXPIRED, error="outage")
    assert pending(session, image_id).attempts == 1
    assert factories.lease_image(session, image_id).attempts == 2


def test_an_image_that_failed_waits_and_its_attempt_counts(
    session: Session, clinic_id: UUID
) -> None:
    images = backlog(session, clinic_id, 2)
    failed, other = lease_images(session)
    retry_later(session, failed, delay=60, error="broken")
    assert lease_images(session) == []
    row = pending(session, images[0])
    assert (row.attempts, row.lease_token, row.last_error) == (1, None, "broken")
    assert pending(session, images[1]).lease_token == other.token

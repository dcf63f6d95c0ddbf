"""Leases that are released, after an outage or a failure."""

from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import lease_images
from tests.pending_images import EXPIRED, backlog, images_of, pending

from dermtriage.scoring.lease_release import (
    release_all_of_worker,
    release_as_suspects,
    release_leases,
    retry_later,
)
from dermtriage.scoring.leases import MAX_ERROR


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


def test_an_outage_while_a_suspect_is_tried_keeps_it_suspect_and_costs_no_attempt(
    session: Session, clinic_id: UUID
) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    for _ in range(2):
        factories.lease_image(session, image_id, lease_seconds=EXPIRED)
    again = factories.lease_image(session, image_id)
    assert again.attempts == 2
    release_leases(session, [again], delay=EXPIRED, error="outage")
    assert (pending(session, image_id).attempts, pending(session, image_id).suspect) == (1, True)
    assert factories.lease_image(session, image_id).attempts == 2


def test_a_suspect_that_fails_by_itself_is_none_any_more(session: Session, clinic_id: UUID) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    factories.lease_image(session, image_id, lease_seconds=EXPIRED)
    retry_later(session, factories.lease_image(session, image_id), delay=EXPIRED, error="broken")
    row = pending(session, image_id)
    assert (row.attempts, row.suspect) == (1, False)
    assert images_of(lease_images(session)) == [image_id]


def test_only_an_image_that_was_alone_pays_for_a_lost_device(
    session: Session, clinic_id: UUID
) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    for expected in (0, 1, 2):
        lease = factories.lease_image(session, image_id)
        release_as_suspects(session, [lease], delay=EXPIRED, error="device lost")
        row = pending(session, image_id)
        assert (row.attempts, row.suspect, row.last_error) == (expected, True, "device lost")


def test_a_worker_that_ends_itself_leaves_all_its_images_to_others(
    session: Session, clinic_id: UUID
) -> None:
    images = backlog(session, clinic_id, 4)
    worker_id = uuid4()
    hung = lease_images(session, batch=2, worker_id=worker_id)
    lease_images(session, batch=1, worker_id=worker_id)
    elsewhere = factories.lease_image(session, images[3])
    release_all_of_worker(
        session, worker_id=worker_id, suspects=[lease.token for lease in hung], error="hung"
    )
    rows = [pending(session, image_id) for image_id in images]
    assert [(row.lease_token, row.suspect, row.last_error, row.attempts) for row in rows] == [
        (None, True, "hung", 0),
        (None, True, "hung", 0),
        (None, False, None, 0),
        (elsewhere.token, False, None, 0),
    ]
    assert images_of(lease_images(session)) == [images[2]]


def test_a_suspect_that_hangs_alone_pays_an_attempt(session: Session, clinic_id: UUID) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    factories.lease_image(session, image_id, lease_seconds=EXPIRED)
    worker_id = uuid4()
    lease = factories.lease_image(session, image_id, worker_id=worker_id)
    release_all_of_worker(session, worker_id=worker_id, suspects=[lease.token], error="hung")
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

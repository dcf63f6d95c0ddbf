"""One image, one lease: beside other workers, and after a lease ran out."""

from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import lease_images
from tests.pending_images import EXPIRED, backlog, images_of, pending

from dermtriage.scoring.leases import (
    Lease,
)
from dermtriage.scoring.pending import most_urgent_images


def test_two_transactions_never_lease_the_same_image(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        images = backlog(session, clinic_id, 5)
    with sessions.begin() as one, sessions.begin() as other:
        first = lease_images(one, batch=3)
        # Its own image is held too: the second goes on with what is left, and does not wait.
        second = lease_images(other, batch=3, first=images[0])
        assert images_of(first) == images[:3]
        assert images_of(second) == images[3:]


def test_a_lease_that_is_rolled_back_holds_nothing(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        backlog(session, clinic_id, 2)
    with sessions() as session:
        assert len(lease_images(session)) == 2
        session.rollback()
    with sessions.begin() as session:
        assert [lease.attempts for lease in lease_images(session)] == [1, 1]


def test_many_workers_empty_a_backlog_and_touch_each_image_once(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        images = backlog(session, clinic_id, 40)

    def work() -> list[Lease]:
        mine: list[Lease] = []
        while True:
            with sessions.begin() as session:
                leases = lease_images(session, batch=4, slots=4)
            if not leases:
                return mine
            mine += leases

    leases = [lease for mine in factories.run_concurrently([work] * 4) for lease in mine]
    assert sorted(images_of(leases)) == sorted(images)
    assert len({lease.token for lease in leases}) == len(leases)


def test_a_lease_names_its_worker_and_ends(session: Session, clinic_id: UUID) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    worker_id = uuid4()
    (lease,) = lease_images(session, worker_id=worker_id, lease_seconds=60)
    row = pending(session, image_id)
    assert (row.worker_id, row.lease_token, row.attempts) == (worker_id, lease.token, 1)
    assert lease.case_id == row.case_id
    now = session.scalar(select(func.now()))
    assert row.lease_expires_at == now + timedelta(seconds=60)
    assert lease_images(session, first=image_id) == []


def test_an_image_whose_lease_ran_out_is_leased_alone(session: Session, clinic_id: UUID) -> None:
    images = backlog(session, clinic_id, 4)
    (lost,) = lease_images(session, batch=1, lease_seconds=EXPIRED)
    assert lost.image_id == images[0]
    (again,) = lease_images(session)
    assert (again.image_id, again.attempts) == (images[0], 2)
    assert again.token > lost.token
    assert images_of(lease_images(session)) == images[1:]


def test_tried_images_are_left_out_of_batches(session: Session, clinic_id: UUID) -> None:
    images = backlog(session, clinic_id, 4)
    factories.lease_image(session, images[2], lease_seconds=EXPIRED)
    assert images_of(lease_images(session, first=images[3])) == [images[3], images[0], images[1]]
    assert images_of(lease_images(session)) == [images[2]]


def test_an_image_without_attempts_left_is_not_leased(session: Session, clinic_id: UUID) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    attempts = [factories.lease_image(session, image_id, lease_seconds=EXPIRED) for _ in range(3)]
    assert [lease.attempts for lease in attempts] == [1, 2, 3]
    assert lease_images(session, first=image_id) == []
    assert most_urgent_images(session, 9, max_attempts=3) == []

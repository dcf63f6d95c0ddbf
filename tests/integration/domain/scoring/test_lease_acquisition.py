"""One image, one lease: beside other workers, and after a lease ran out."""

from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import lease_images, lease_suspect
from tests.pending_images import EXPIRED, backlog, images_of, pending

from dermtriage.scoring.lease_release import release_as_suspects, retry_later
from dermtriage.scoring.leases import Lease
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
    assert (row.worker_id, row.lease_token) == (worker_id, lease.token)
    # It counts once it fails: if the worker dies, another image may be to blame.
    assert (lease.attempts, row.attempts) == (1, 0)
    assert lease.case_id == row.case_id
    now = session.scalar(select(func.now()))
    assert row.lease_expires_at == now + timedelta(seconds=60)
    assert lease_images(session, first=image_id) == []


def test_images_whose_leases_ran_out_are_leased_one_by_one_and_have_lost_no_attempt(
    session: Session, clinic_id: UUID
) -> None:
    images = backlog(session, clinic_id, 4)
    lost = lease_images(session, batch=2, lease_seconds=EXPIRED)
    assert images_of(lost) == images[:2]
    assert images_of(lease_images(session, first=images[0])) == images[2:]
    for before in lost:
        again = lease_suspect(session)
        assert again is not None
        assert (again.image_id, again.attempts) == (before.image_id, 1)
        assert again.token > before.token
    assert lease_suspect(session) is None


def test_an_image_that_failed_before_is_left_out_of_batches(
    session: Session, clinic_id: UUID
) -> None:
    images = backlog(session, clinic_id, 4)
    retry_later(session, factories.lease_image(session, images[2]), delay=EXPIRED, error="broken")
    assert lease_suspect(session) is None
    assert images_of(lease_images(session, first=images[3])) == [images[3], images[0], images[1]]
    assert images_of(lease_images(session)) == [images[2]]


def test_suspects_come_in_order_of_urgency(session: Session, clinic_id: UUID) -> None:
    images = backlog(session, clinic_id, 3)
    leases = [factories.lease_image(session, image_id) for image_id in images]
    release_as_suspects(session, [leases[2], leases[0]], delay=EXPIRED, error="device lost")
    release_as_suspects(session, [leases[1]], delay=60, error="device lost")
    found = [lease_suspect(session), lease_suspect(session)]
    assert [lease and lease.image_id for lease in found] == [images[0], images[2]]
    assert lease_suspect(session) is None


def test_an_image_without_attempts_left_is_not_leased(session: Session, clinic_id: UUID) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    attempts = [factories.lease_image(session, image_id, lease_seconds=EXPIRED) for _ in range(4)]
    # The first death does not count: nobody knows whether it was alone.
    assert [lease.attempts for lease in attempts] == [1, 1, 2, 3]
    assert lease_images(session, first=image_id) == []
    assert lease_suspect(session) is None
    assert most_urgent_images(session, 9, max_attempts=3) == []

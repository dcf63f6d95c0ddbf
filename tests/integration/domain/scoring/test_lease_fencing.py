"""Fencing tokens, renewal, and images without attempts left."""

from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import lease_images, lease_suspect
from tests.pending_images import EXPIRED, backlog, images_of, pending

from dermtriage.models import PendingImage
from dermtriage.scoring.lease_acquisition import take_over_exhausted
from dermtriage.scoring.lease_release import (
    release_all_of_worker,
    release_as_suspects,
    release_leases,
    retry_later,
)
from dermtriage.scoring.leases import lock_held, renew_leases


def test_a_later_lease_fences_the_earlier_one(session: Session, clinic_id: UUID) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    late = uuid4()
    slow = factories.lease_image(session, image_id, lease_seconds=EXPIRED, worker_id=late)
    quick = factories.lease_image(session, image_id)
    for stale in (
        lambda: release_leases(session, [slow], delay=0, error="late"),
        lambda: retry_later(session, slow, delay=0, error="late"),
        lambda: release_as_suspects(session, [slow], delay=0, error="late"),
        lambda: release_all_of_worker(session, worker_id=late, suspects=[slow.token], error=""),
        lambda: renew_leases(session, tokens=[slow.token], lease_seconds=9999),
    ):
        before = pending(session, image_id).lease_expires_at
        stale()
        row = pending(session, image_id)
        assert (row.lease_token, row.attempts, row.last_error) == (quick.token, 1, None)
        assert row.lease_expires_at == before
    assert lock_held(session, [slow]) == set()
    assert lock_held(session, [slow, quick]) == {image_id}


def test_a_lease_that_ran_out_holds_until_another_takes_the_image(
    session: Session, clinic_id: UUID
) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    late = factories.lease_image(session, image_id, lease_seconds=EXPIRED)
    assert lock_held(session, [late]) == {image_id}


def test_renewal_extends_running_leases_alone(session: Session, clinic_id: UUID) -> None:
    one, two = backlog(session, clinic_id, 2)
    kept = factories.lease_image(session, one, lease_seconds=EXPIRED)
    factories.lease_image(session, two, lease_seconds=EXPIRED)
    renew_leases(session, tokens=[kept.token], lease_seconds=60)
    expired = lease_suspect(session)
    assert expired is not None
    assert expired.image_id == two
    assert lease_suspect(session) is None


def test_renewal_does_not_wait_for_images_that_are_being_written(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        backlog(session, clinic_id, 2)
        written, running = lease_images(session, lease_seconds=EXPIRED)
    with sessions.begin() as writer, sessions.begin() as heartbeat:
        lock_held(writer, [written])
        tokens = [written.token, running.token]
        renew_leases(heartbeat, tokens=tokens, lease_seconds=60)
        row = heartbeat.get_one(PendingImage, running.image_id)
        assert row.lease_expires_at is not None
        assert row.lease_expires_at > heartbeat.scalar(select(func.now()))


def test_exhausted_are_those_whose_last_attempt_ran_out(session: Session, clinic_id: UUID) -> None:
    gone, tried, _fresh, running = backlog(session, clinic_id, 4)
    factories.exhaust(session, gone)
    for _ in range(3):
        factories.lease_image(session, running, lease_seconds=EXPIRED)
    factories.lease_image(session, running)
    factories.lease_image(session, tried, lease_seconds=EXPIRED)
    # Taking them over keeps their last worker from writing.
    (spent,) = take_over_exhausted(session, max_attempts=3)
    assert (spent.image_id, spent.attempts) == (gone, 3)
    assert lock_held(session, [spent]) == {gone}


def test_an_image_without_attempts_left_is_exhausted_also_if_no_worker_holds_it(
    session: Session, clinic_id: UUID
) -> None:
    tried, _fresh = backlog(session, clinic_id, 2)
    for _ in range(2):
        retry_later(session, factories.lease_image(session, tried), delay=0, error="broken")
    assert take_over_exhausted(session, max_attempts=3) == []
    # The setting was lowered meanwhile.
    (spent,) = take_over_exhausted(session, max_attempts=2)
    assert spent.image_id == tried


def test_two_recoveries_do_not_take_over_the_same_image(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        (image_id,) = backlog(session, clinic_id, 1)
        late = factories.exhaust(session, image_id)
    with sessions.begin() as one, sessions.begin() as other:
        assert images_of(take_over_exhausted(one, max_attempts=3)) == [image_id]
        assert take_over_exhausted(other, max_attempts=3) == []
    with sessions.begin() as session:
        assert lock_held(session, [late]) == set()

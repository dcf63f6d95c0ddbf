"""Which worker gets which pending image, and what a lease is worth."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import MONDAY, take

from dermtriage.core.enums import ImageType
from dermtriage.models import PendingImage, Worker
from dermtriage.scoring.leases import (
    MAX_ERROR,
    Lease,
    lock_held,
    release_leases,
    renew_leases,
    retry_later,
    take_over_exhausted,
)
from dermtriage.scoring.pending import most_urgent_images

EXPIRED = -1.0
"""Seconds: a lease, or a delay, that has run out as soon as it is written."""


def pending(session: Session, image_id: UUID) -> PendingImage:
    return session.get_one(PendingImage, image_id, populate_existing=True)


def images_of(leases: Sequence[Lease]) -> list[UUID]:
    return [lease.image_id for lease in leases]


def backlog(session: Session, clinic_id: UUID, count: int) -> list[UUID]:
    """Take in cases of one image each, a minute apart, and return the images in that order."""
    return [
        factories.receive(
            session, clinic_id, now=MONDAY + timedelta(minutes=minute)
        ).pending_image_ids[0]
        for minute in range(count)
    ]


# Order


def test_the_most_urgent_come_first_and_then_the_oldest(session: Session, clinic_id: UUID) -> None:
    def send(priority: str, hours: int) -> UUID:
        receipt = factories.receive(
            session, clinic_id, priority=priority, now=MONDAY + timedelta(hours=hours)
        )
        return receipt.pending_image_ids[0]

    routine_new, routine_old = send("routine", 3), send("routine", 0)
    urgent, asap, stat = send("urgent", 4), send("asap", 5), send("stat", 6)
    assert images_of(take(session)) == [stat, asap, urgent, routine_old, routine_new]


def test_stat_is_first_out_of_any_backlog(session: Session, clinic_id: UUID) -> None:
    # What was asked for as soon as possible last week has been due for days.
    for _ in range(3):
        factories.receive(session, clinic_id, priority="asap", now=MONDAY - timedelta(days=7))
    receipt = factories.receive(session, clinic_id, priority="stat", images=2)
    assert images_of(take(session, batch=2)) == sorted(receipt.pending_image_ids)


def test_an_overview_is_never_claimed(session: Session, clinic_id: UUID) -> None:
    factories.receive(session, clinic_id, types=[ImageType.OVERVIEW])
    assert take(session) == []


def test_the_image_of_the_message_is_included_however_little_urgent(
    session: Session, clinic_id: UUID
) -> None:
    images = backlog(session, clinic_id, 5)
    leases = take(session, first=images[4], batch=3)
    assert images_of(leases) == [images[4], images[0], images[1]]


def test_a_message_whose_image_is_done_serves_other_work(session: Session, clinic_id: UUID) -> None:
    done, waiting = backlog(session, clinic_id, 2)
    factories.score(session, done, factories.LOW)
    assert images_of(take(session, first=done)) == [waiting]
    assert take(session, first=done) == []
    assert take(session, first=uuid4()) == []


# Shares


@pytest.mark.parametrize(
    ("waiting", "slots", "batch", "taken"),
    [(1, 4, 16, 1), (8, 4, 16, 2), (8, 1, 16, 8), (8, 1, 3, 3), (8, 2, 3, 3), (3, 8, 16, 1)],
)
def test_a_share_leaves_work_for_the_other_slots(
    session: Session, clinic_id: UUID, waiting: int, slots: int, batch: int, taken: int
) -> None:
    backlog(session, clinic_id, waiting)
    assert len(take(session, slots=slots, batch=batch)) == taken


def test_what_is_leased_does_not_count_for_the_share(session: Session, clinic_id: UUID) -> None:
    backlog(session, clinic_id, 8)
    assert [len(take(session, slots=2)) for _ in range(5)] == [4, 2, 1, 1, 0]


# Nobody gets what another holds


def test_two_transactions_never_claim_the_same_image(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        images = backlog(session, clinic_id, 5)
    with sessions.begin() as one, sessions.begin() as other:
        first = take(one, batch=3)
        # Its own image is held too: the second goes on with what is left, and does not wait.
        second = take(other, batch=3, first=images[0])
        assert images_of(first) == images[:3]
        assert images_of(second) == images[3:]


def test_a_claim_that_is_rolled_back_never_was(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        backlog(session, clinic_id, 2)
    with sessions() as session:
        assert len(take(session)) == 2
        session.rollback()
    with sessions.begin() as session:
        assert [lease.attempts for lease in take(session)] == [1, 1]


def test_many_workers_empty_a_backlog_and_touch_each_image_once(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        images = backlog(session, clinic_id, 40)

    def work() -> list[Lease]:
        mine: list[Lease] = []
        while True:
            with sessions.begin() as session:
                leases = take(session, batch=4, slots=4)
            if not leases:
                return mine
            mine += leases

    leases = [lease for mine in factories.together([work] * 4) for lease in mine]
    assert sorted(images_of(leases)) == sorted(images)
    assert len({lease.token for lease in leases}) == len(leases)


# Leases


def test_a_lease_names_its_worker_and_ends(session: Session, clinic_id: UUID) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    worker_id = uuid4()
    (lease,) = take(session, worker_id=worker_id, lease_seconds=60)
    row = pending(session, image_id)
    assert (row.worker_id, row.lease_token, row.attempts) == (worker_id, lease.token, 1)
    assert lease.case_id == row.case_id
    now = session.scalar(select(func.now()))
    assert row.lease_expires_at == now + timedelta(seconds=60)
    assert take(session, first=image_id) == []


def test_an_image_whose_lease_ran_out_is_claimed_alone(session: Session, clinic_id: UUID) -> None:
    images = backlog(session, clinic_id, 4)
    (lost,) = take(session, batch=1, lease_seconds=EXPIRED)
    assert lost.image_id == images[0]
    (again,) = take(session)
    assert (again.image_id, again.attempts) == (images[0], 2)
    assert again.token > lost.token
    assert images_of(take(session)) == images[1:]


def test_tried_images_are_left_out_of_batches(session: Session, clinic_id: UUID) -> None:
    images = backlog(session, clinic_id, 4)
    factories.lease(session, images[2], lease_seconds=EXPIRED)
    assert images_of(take(session, first=images[3])) == [images[3], images[0], images[1]]
    assert images_of(take(session)) == [images[2]]


def test_attempts_end(session: Session, clinic_id: UUID) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    attempts = [factories.lease(session, image_id, lease_seconds=EXPIRED) for _ in range(3)]
    assert [lease.attempts for lease in attempts] == [1, 2, 3]
    assert take(session, first=image_id) == []
    assert most_urgent_images(session, 9, max_attempts=3) == []


# Giving back


def test_giving_back_costs_no_attempt_and_rests(session: Session, clinic_id: UUID) -> None:
    images = backlog(session, clinic_id, 2)
    leases = take(session)
    release_leases(session, leases, delay=60, error="outage: " + "x" * 600)
    assert take(session) == []
    row = pending(session, images[0])
    assert (row.attempts, row.lease_token, row.worker_id) == (0, None, None)
    assert row.last_error is not None
    assert len(row.last_error) == MAX_ERROR
    assert row.not_before == session.scalar(select(func.now())) + timedelta(seconds=60)
    release_leases(session, leases, delay=EXPIRED, error="")  # these leases hold no more
    assert take(session) == []


def test_what_was_given_back_is_claimed_together_again(session: Session, clinic_id: UUID) -> None:
    images = backlog(session, clinic_id, 3)
    release_leases(session, take(session), delay=EXPIRED, error="outage")
    again = take(session)
    assert images_of(again) == images
    assert {lease.attempts for lease in again} == {1}


def test_an_outage_during_a_second_attempt_keeps_the_first(
    session: Session, clinic_id: UUID
) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    factories.lease(session, image_id, lease_seconds=EXPIRED)
    release_leases(session, take(session), delay=EXPIRED, error="outage")
    assert pending(session, image_id).attempts == 1
    assert factories.lease(session, image_id).attempts == 2


def test_an_image_that_failed_by_itself_rests_and_its_attempt_counts(
    session: Session, clinic_id: UUID
) -> None:
    images = backlog(session, clinic_id, 2)
    failed, other = take(session)
    retry_later(session, failed, delay=60, error="broken")
    assert take(session) == []
    row = pending(session, images[0])
    assert (row.attempts, row.lease_token, row.last_error) == (1, None, "broken")
    assert pending(session, images[1]).lease_token == other.token


# Fencing


def test_a_later_lease_fences_the_earlier_one(session: Session, clinic_id: UUID) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    slow = factories.lease(session, image_id, lease_seconds=EXPIRED)
    quick = factories.lease(session, image_id)
    for stale in (
        lambda: release_leases(session, [slow], delay=0, error="late"),
        lambda: retry_later(session, slow, delay=0, error="late"),
        lambda: renew_leases(session, tokens=[slow.token], lease_seconds=9999),
    ):
        before = pending(session, image_id).lease_expires_at
        stale()
        row = pending(session, image_id)
        assert (row.lease_token, row.attempts, row.last_error) == (quick.token, 2, None)
        assert row.lease_expires_at == before
    assert lock_held(session, [slow]) == set()
    assert lock_held(session, [slow, quick]) == {image_id}


def test_a_lease_that_ran_out_holds_until_another_takes_the_image(
    session: Session, clinic_id: UUID
) -> None:
    (image_id,) = backlog(session, clinic_id, 1)
    late = factories.lease(session, image_id, lease_seconds=EXPIRED)
    assert lock_held(session, [late]) == {image_id}


def test_keeping_prolongs_what_runs_and_nothing_else(session: Session, clinic_id: UUID) -> None:
    one, two = backlog(session, clinic_id, 2)
    kept = factories.lease(session, one, lease_seconds=EXPIRED)
    factories.lease(session, two, lease_seconds=EXPIRED)
    renew_leases(session, tokens=[kept.token], lease_seconds=60)
    assert images_of(take(session)) == [two]


def test_keeping_does_not_wait_for_what_is_being_written(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        backlog(session, clinic_id, 2)
        written, running = take(session, lease_seconds=EXPIRED)
    with sessions.begin() as writer, sessions.begin() as heartbeat:
        lock_held(writer, [written])
        tokens = [written.token, running.token]
        renew_leases(heartbeat, tokens=tokens, lease_seconds=60)
        row = heartbeat.get_one(PendingImage, running.image_id)
        assert row.lease_expires_at is not None
        assert row.lease_expires_at > heartbeat.scalar(select(func.now()))


# What is left over


def test_exhausted_are_those_whose_last_attempt_ran_out(session: Session, clinic_id: UUID) -> None:
    gone, tried, _fresh, running = backlog(session, clinic_id, 4)
    for _ in range(3):
        factories.lease(session, gone, lease_seconds=EXPIRED)
    factories.lease(session, tried, lease_seconds=EXPIRED)
    for _ in range(2):
        factories.lease(session, running, lease_seconds=EXPIRED)
    factories.lease(session, running)
    # Who finds them takes them over, so that their last worker cannot write any more.
    (spent,) = take_over_exhausted(session, max_attempts=3)
    assert (spent.image_id, spent.attempts) == (gone, 3)
    assert lock_held(session, [spent]) == {gone}


def test_an_image_without_attempts_left_is_exhausted_also_if_nobody_holds_it(
    session: Session, clinic_id: UUID
) -> None:
    tried, _fresh = backlog(session, clinic_id, 2)
    for _ in range(2):
        retry_later(session, factories.lease(session, tried), delay=0, error="broken")
    assert take_over_exhausted(session, max_attempts=3) == []
    # The setting was lowered meanwhile.
    (spent,) = take_over_exhausted(session, max_attempts=2)
    assert spent.image_id == tried


def test_two_looks_do_not_take_over_the_same_image(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        (image_id,) = backlog(session, clinic_id, 1)
        for _ in range(3):
            late = factories.lease(session, image_id, lease_seconds=EXPIRED)
    with sessions.begin() as one, sessions.begin() as other:
        assert images_of(take_over_exhausted(one, max_attempts=3)) == [image_id]
        assert take_over_exhausted(other, max_attempts=3) == []
    with sessions.begin() as session:
        assert lock_held(session, [late]) == set()


def test_the_most_urgent_that_anybody_could_claim(session: Session, clinic_id: UUID) -> None:
    images = backlog(session, clinic_id, 5)
    factories.lease(session, images[0])
    release_leases(session, [factories.lease(session, images[1])], delay=60, error="outage")
    assert most_urgent_images(session, 2, max_attempts=3) == images[2:4]
    assert session.scalar(select(func.count()).select_from(Worker)) == 0  # a look needs none

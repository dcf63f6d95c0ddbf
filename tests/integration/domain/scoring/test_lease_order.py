"""The order in which pending images are leased, and how many one worker gets."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import MONDAY, lease_images
from tests.pending_images import backlog, images_of

from dermtriage.core.enums import ImageType
from dermtriage.models import Worker
from dermtriage.scoring.lease_release import release_leases
from dermtriage.scoring.pending import most_urgent_images


def test_the_most_urgent_come_first_and_then_the_oldest(session: Session, clinic_id: UUID) -> None:
    def send(priority: str, hours: int) -> UUID:
        receipt = factories.receive(
            session, clinic_id, priority=priority, now=MONDAY + timedelta(hours=hours)
        )
        return receipt.pending_image_ids[0]

    routine_new, routine_old = send("routine", 3), send("routine", 0)
    urgent, asap, stat = send("urgent", 4), send("asap", 5), send("stat", 6)
    assert images_of(lease_images(session)) == [stat, asap, urgent, routine_old, routine_new]


def test_stat_is_first_out_of_any_backlog(session: Session, clinic_id: UUID) -> None:
    # An `asap` of last week has been due for days.
    for _ in range(3):
        factories.receive(session, clinic_id, priority="asap", now=MONDAY - timedelta(days=7))
    receipt = factories.receive(session, clinic_id, priority="stat", images=2)
    assert images_of(lease_images(session, batch=2)) == sorted(receipt.pending_image_ids)


def test_an_overview_is_never_leased(session: Session, clinic_id: UUID) -> None:
    factories.receive(session, clinic_id, types=[ImageType.OVERVIEW])
    assert lease_images(session) == []


def test_the_image_of_the_message_is_included_however_little_urgent(
    session: Session, clinic_id: UUID
) -> None:
    images = backlog(session, clinic_id, 5)
    leases = lease_images(session, first=images[4], batch=3)
    assert images_of(leases) == [images[4], images[0], images[1]]


def test_a_message_whose_image_is_done_serves_other_work(session: Session, clinic_id: UUID) -> None:
    done, waiting = backlog(session, clinic_id, 2)
    factories.score(session, done, factories.LOW)
    assert images_of(lease_images(session, first=done)) == [waiting]
    assert lease_images(session, first=done) == []
    assert lease_images(session, first=uuid4()) == []


@pytest.mark.parametrize(
    ("waiting", "slots", "batch", "taken"),
    [(1, 4, 16, 1), (8, 4, 16, 2), (8, 1, 16, 8), (8, 1, 3, 3), (8, 2, 3, 3), (3, 8, 16, 1)],
)
def test_a_share_leaves_work_for_the_other_slots(
    session: Session, clinic_id: UUID, waiting: int, slots: int, batch: int, taken: int
) -> None:
    backlog(session, clinic_id, waiting)
    assert len(lease_images(session, slots=slots, batch=batch)) == taken


def test_what_is_leased_does_not_count_for_the_share(session: Session, clinic_id: UUID) -> None:
    backlog(session, clinic_id, 8)
    assert [len(lease_images(session, slots=2)) for _ in range(5)] == [4, 2, 1, 1, 0]


def test_the_most_urgent_images_that_may_be_leased(session: Session, clinic_id: UUID) -> None:
    images = backlog(session, clinic_id, 5)
    factories.lease_image(session, images[0])
    release_leases(session, [factories.lease_image(session, images[1])], delay=60, error="outage")
    assert most_urgent_images(session, 2, max_attempts=3) == images[2:4]
    assert session.scalar(select(func.count()).select_from(Worker)) == 0

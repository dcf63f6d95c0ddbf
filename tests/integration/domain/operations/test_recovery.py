"""Recovery restarts what is stuck, and takes nothing that a worker is scoring."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import LOW, MONDAY, SEVERE

from dermtriage.core.enums import Scoring, Severity
from dermtriage.core.settings import Settings
from dermtriage.models import PendingImage, Worker
from dermtriage.operations import invariants, recovery
from dermtriage.operations.recovery import RecoveryResult
from dermtriage.scoring import workers
from dermtriage.scoring.heat_maps import lease_heat_map
from dermtriage.scoring.lease_release import release_leases, retry_later
from dermtriage.scoring.workers import Heartbeat


def recover(session: Session, settings: Settings) -> RecoveryResult:
    return recovery.recover(session, settings, now=MONDAY)


def worker(session: Session, slots: int, busy: int = 0, silent_for: float = 0) -> UUID:
    worker_id = workers.register_worker(
        session, hostname="host", pid=1, slots=slots, device="cpu", release="tiny"
    )
    workers.record_heartbeat(session, worker_id=worker_id, heartbeat=Heartbeat(busy, 0, 0))
    session.execute(
        update(Worker)
        .where(Worker.id == worker_id)
        .values(heartbeat_at=func.now() - timedelta(seconds=silent_for))
    )
    return worker_id


def pending(session: Session, clinic_id: UUID, count: int) -> list[UUID]:
    moments = [MONDAY + timedelta(minutes=minute) for minute in range(count)]
    receipts = [factories.receive(session, clinic_id, now=moment) for moment in moments]
    return [receipt.pending_image_ids[0] for receipt in receipts]


def refuse_updates(session: Session, image_id: UUID) -> None:
    """Let the database refuse every change of an image, as a broken constraint would."""
    session.execute(
        text("""
            CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'check_violation'; END $$""")
    )
    session.execute(
        text(
            "CREATE TRIGGER refuse BEFORE UPDATE ON images FOR EACH ROW"
            f" WHEN (OLD.id = '{image_id}') EXECUTE FUNCTION pg_temp.refuse()"
        )
    )


# Waking


@pytest.mark.parametrize(
    ("slots", "busy", "woken"), [([], [], 0), ([2], [0], 2), ([2, 3], [1, 3], 1), ([9], [0], 4)]
)
def test_as_many_are_woken_as_threads_are_free(
    session: Session,
    settings: Settings,
    clinic_id: UUID,
    slots: list[int],
    busy: list[int],
    woken: int,
) -> None:
    images = pending(session, clinic_id, 4)
    for size, working in zip(slots, busy, strict=True):
        worker(session, size, working)
    assert recover(session, settings).image_ids == images[:woken]


def test_a_silent_worker_is_not_woken_and_is_removed_later(
    session: Session, settings: Settings, clinic_id: UUID
) -> None:
    images = pending(session, clinic_id, 3)
    live = worker(session, 1)
    slow = worker(session, 1, silent_for=settings.slow_after + 1)
    worker(session, 1, silent_for=601)
    assert recover(session, settings).image_ids == images[:1]
    assert set(session.scalars(select(Worker.id))) == {live, slow}
    assert workers.live_slots(session, slow_after=settings.slow_after) == 1


def test_a_worker_that_ends_in_order_is_gone_at_once(session: Session) -> None:
    worker_id = worker(session, 2)
    workers.remove_worker(session, worker_id=worker_id)
    assert workers.live_slots(session, slow_after=60) == 0


def test_threads_are_woken_only_for_images_that_they_could_lease(
    session: Session, settings: Settings, clinic_id: UUID
) -> None:
    worker(session, 9)
    leased, resting, lost, fresh, scored = pending(session, clinic_id, 5)
    factories.lease_image(session, leased)
    release_leases(session, [factories.lease_image(session, resting)], delay=60, error="outage")
    factories.lease_image(session, lost, lease_seconds=-1)
    factories.score(session, scored, LOW)
    assert recover(session, settings) == RecoveryResult([lost, fresh], rescore_threads=0, failed=0)


def test_idle_threads_are_woken_for_heat_maps_that_wait(
    session: Session, settings: Settings, clinic_id: UUID
) -> None:
    severe, fresh = pending(session, clinic_id, 2)
    factories.score(session, severe, SEVERE)
    for slots, woken in ((1, [fresh]), (8, [fresh, severe])):
        worker(session, slots)
        assert recover(session, settings).image_ids == woken
        session.execute(delete(Worker))
    worker(session, 8)
    assert lease_heat_map(session, tried_before=False, lease_seconds=60) is not None
    assert recover(session, settings).image_ids == [fresh]


# Giving up


def test_images_whose_attempts_are_used_up_have_failed(
    session: Session, settings: Settings, clinic_id: UUID
) -> None:
    receipts = [factories.receive(session, clinic_id, images=2) for _ in range(2)]
    for receipt in receipts:
        for image_id in receipt.pending_image_ids:
            factories.exhaust(session, image_id)
    fresh = pending(session, clinic_id, 1)
    worker(session, 4)
    # Two images of one case fail together, and neither is forgotten over the other.
    assert recover(session, settings) == RecoveryResult(fresh, rescore_threads=0, failed=4)
    session.expire_all()
    for receipt in receipts:
        case = factories.case(session, receipt)
        assert [image.scoring for image in case.images] == [Scoring.FAILED] * 2
        assert [image.failure for image in case.images] == [
            "Gave up after 3 attempts: the worker did not come back."
        ] * 2
        assert (case.severity, case.lane) == (Severity.UNSCORED, 1)
    assert set(session.scalars(select(PendingImage.image_id))) == set(fresh)
    assert invariants.check_invariants(session) == {}
    assert recover(session, settings).failed == 0


def test_fewer_permitted_attempts_leave_nothing_waiting_for_good(
    session: Session, settings: Settings, clinic_id: UUID
) -> None:
    (image_id,) = pending(session, clinic_id, 1)
    for _ in range(2):
        retry_later(session, factories.lease_image(session, image_id), delay=-1, error="broken")
    fewer = settings.model_copy(update={"max_attempts": 2})
    assert recover(session, fewer).failed == 1
    assert factories.image(session, image_id).scoring is Scoring.FAILED


def test_a_case_that_cannot_be_written_does_not_stop_the_others(
    session: Session, settings: Settings, clinic_id: UUID
) -> None:
    broken, other = pending(session, clinic_id, 2)
    factories.exhaust(session, broken)
    factories.exhaust(session, other)
    refuse_updates(session, broken)
    assert recover(session, settings).failed == 1
    assert factories.image(session, broken).scoring is Scoring.PENDING
    assert factories.image(session, other).scoring is Scoring.FAILED


def test_a_last_attempt_that_still_runs_is_left_alone(
    session: Session, settings: Settings, clinic_id: UUID
) -> None:
    (image_id,) = pending(session, clinic_id, 1)
    for _ in range(3):
        factories.lease_image(session, image_id, lease_seconds=-1)
    running = factories.lease_image(session, image_id)
    assert recover(session, settings) == RecoveryResult([], rescore_threads=0, failed=0)
    assert factories.record(session, [factories.result(running, LOW)]) == 1

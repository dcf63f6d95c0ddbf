"""The figures that operators watch."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import LOW, MONDAY, case_in_lane

from dermtriage.accounts import audit
from dermtriage.core.clock import utcnow
from dermtriage.core.enums import CaseState, Lane
from dermtriage.core.settings import Settings
from dermtriage.models import Assessment, PendingImage, Release, Worker
from dermtriage.operations import metrics
from dermtriage.operations.metrics import Figures
from dermtriage.scoring import recording, workers
from dermtriage.scoring.workers import Heartbeat


def look(session: Session, settings: Settings, now: datetime = MONDAY) -> Figures:
    return metrics.figures(session, now=now, settings=settings)


def test_an_empty_system(session: Session, settings: Settings) -> None:
    figures = look(session, settings)
    assert set(figures.pending_by_age.values()) == {0}
    assert figures.worklist_by_lane == figures.overdue_by_lane == dict.fromkeys(Lane, 0)
    assert figures.oldest_unscored_seconds == 0
    assert figures.assessments_per_second == 0
    assert (figures.live_workers, figures.live_slots) == (0, 0)
    assert (figures.batches, figures.batched_images, figures.broken_invariants) == (0, 0, 0)


def test_pending_images_by_age(session: Session, settings: Settings, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id, images=4)
    for image_id, age in zip(receipt.pending_image_ids, (5, 30, 50, 100_000), strict=True):
        session.execute(
            update(PendingImage)
            .where(PendingImage.image_id == image_id)
            .values(queued_at=MONDAY - timedelta(seconds=age))
        )
    figures = look(session, settings)
    assert figures.pending_by_age == {
        10: 1,
        60: 3,
        300: 3,
        900: 3,
        3600: 3,
        14_400: 3,
        86_400: 3,
        float("inf"): 4,
    }
    assert figures.oldest_unscored_seconds == 100_000


def test_the_worklist_by_lane(session: Session, settings: Settings, clinic_id: UUID) -> None:
    second = timedelta(seconds=1)
    for lane, due_at, state in (
        (0, MONDAY, CaseState.OPEN),
        (0, MONDAY - second, CaseState.OPEN),
        (2, MONDAY - second, CaseState.OPEN),
        (3, MONDAY + second, CaseState.OPEN),
        (3, MONDAY - second, CaseState.DECIDED),
        (3, MONDAY - second, CaseState.AWAITING_RETAKE),
    ):
        case_in_lane(session, clinic_id, lane, due_at, state=state)
    figures = look(session, settings)
    assert figures.worklist_by_lane == {0: 2, 1: 0, 2: 1, 3: 1}
    assert figures.overdue_by_lane == {0: 1, 1: 0, 2: 1, 3: 0}
    assert figures.awaiting_retake == 1


def test_unscored_cases_are_those_that_wait_and_those_that_failed(
    session: Session, settings: Settings, clinic_id: UUID, clinician_id: UUID
) -> None:
    for _ in range(2):
        factories.receive(session, clinic_id)
    failed = factories.receive(session, clinic_id)
    lease = factories.lease_image(session, failed.pending_image_ids[0])
    assert recording.record_failure(session, lease, error="broken", now=MONDAY)
    scored = factories.receive(session, clinic_id)
    factories.score(session, scored.pending_image_ids[0], LOW)
    factories.decide(session, factories.receive(session, clinic_id).case_id, clinician_id)
    assert look(session, settings).unscored_cases == 3


def test_the_rate_counts_the_last_minute(
    session: Session, settings: Settings, clinic_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id, images=4)
    for image_id, age in zip(receipt.pending_image_ids, (1, 30, 59, 61), strict=True):
        factories.score(session, image_id, LOW)
        session.execute(
            update(Assessment)
            .where(Assessment.image_id == image_id)
            .values(created_at=MONDAY - timedelta(seconds=age))
        )
    assert look(session, settings).assessments_per_second == pytest.approx(3 / 60)


def test_the_rate_counts_no_shadow(session: Session, settings: Settings, clinic_id: UUID) -> None:
    shadow = Release(name="shadow", manifest={}, manifest_sha256=bytes(32), mode="shadow")
    session.add(shadow)
    receipt = factories.receive(session, clinic_id)
    taken = factories.lease_image(session, receipt.pending_image_ids[0])
    said = factories.result(taken, LOW)
    recording.insert_assessments(session, [said], release_id=shadow.id, device="cpu")
    assert look(session, settings, utcnow()).assessments_per_second == 0
    factories.record(session, [said])
    assert look(session, settings, utcnow()).assessments_per_second == pytest.approx(1 / 60)


def test_only_live_workers_count(session: Session, settings: Settings) -> None:
    now = session.scalar(select(func.now()))
    assert now is not None
    for silent_for in (0, settings.slow_after - 1, settings.slow_after + 1):
        worker_id = workers.register_worker(
            session, hostname="host", pid=1, slots=2, device="cpu", release="tiny"
        )
        workers.record_heartbeat(
            session, worker_id=worker_id, heartbeat=Heartbeat(busy=1, batches=3, completed=40)
        )
        session.execute(
            update(Worker)
            .where(Worker.id == worker_id)
            .values(heartbeat_at=now - timedelta(seconds=silent_for))
        )
    figures = look(session, settings, now)
    assert (figures.live_workers, figures.live_slots) == (2, 4)
    assert (figures.batches, figures.batched_images) == (6, 80)


def test_the_last_check_of_the_invariants_counts(session: Session, settings: Settings) -> None:
    for broken in (3, 2):
        audit.record(
            session,
            actor_kind="operator",
            actor_id=None,
            action="invariants.checked",
            broken=broken,
        )
        session.flush()
    assert look(session, settings).broken_invariants == 2

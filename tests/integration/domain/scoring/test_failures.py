"""Images that cannot be scored."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import LOW, MONDAY, SEVERE, TUESDAY
from tests.scores import score_all

from dermtriage.core.enums import (
    Scoring,
    Severity,
)
from dermtriage.models import PendingImage
from dermtriage.operations import invariants
from dermtriage.scoring import recording
from dermtriage.scoring.leases import MAX_ERROR


def test_a_failed_image_leaves_its_case_unscored_and_high(
    session: Session, clinic_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id, images=2)
    one, two = receipt.pending_image_ids
    factories.score(session, one, LOW)
    lease = factories.lease_image(session, two)
    assert recording.record_failure(session, lease, error="broken " * 100, now=TUESDAY)
    image = factories.image(session, two)
    assert (image.scoring, image.severity) == (Scoring.FAILED, None)
    assert image.failure is not None
    assert len(image.failure) == MAX_ERROR
    case = factories.case(session, receipt)
    assert (case.severity, case.lane, case.changed_at) == (Severity.UNSCORED, 1, TUESDAY)
    assert session.scalars(select(PendingImage)).all() == []
    assert invariants.check_invariants(session) == {}


def test_a_severe_case_stays_severe_when_its_other_image_fails(
    session: Session, clinic_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id, images=2)
    score_all(session, receipt, SEVERE)
    lease = factories.lease_image(session, receipt.pending_image_ids[1])
    assert recording.record_failure(session, lease, error="broken", now=MONDAY)
    case = factories.case(session, receipt)
    assert (case.severity, case.latest_severity, case.lane) == ("severe", "severe", 0)


def test_failing_needs_the_lease(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    (image_id,) = receipt.pending_image_ids
    slow = factories.lease_image(session, image_id, lease_seconds=-1)
    quick = factories.lease_image(session, image_id)
    assert not recording.record_failure(session, slow, error="late", now=MONDAY)
    assert factories.image(session, image_id).scoring is Scoring.PENDING
    assert factories.record(session, [factories.result(quick, LOW)]) == 1
    assert not recording.record_failure(session, quick, error="too late", now=MONDAY)
    assert factories.image(session, image_id).failure is None

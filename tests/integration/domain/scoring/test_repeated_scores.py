"""Scores whose lease was lost, and the same score again."""

from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import INDETERMINATE, LOW, MONDAY, SEVERE, TUESDAY
from tests.scores import score_all

from dermtriage.core.enums import (
    Scoring,
    Severity,
)
from dermtriage.models import Assessment, PendingImage
from dermtriage.releases.queries import active_policy
from dermtriage.scoring import assessments
from dermtriage.triage.image_severity import triage_image


def test_a_score_whose_lease_was_lost_is_dropped(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id, images=2)
    one, two = receipt.pending_image_ids
    slow = factories.lease_image(session, one, lease_seconds=-1)
    factories.lease_image(session, one)
    held = factories.lease_image(session, two)
    results = [factories.result(slow, SEVERE), factories.result(held, LOW)]
    assert factories.record(session, results) == 1
    assert [row.image_id for row in session.scalars(select(Assessment))] == [two]
    assert factories.image(session, one).scoring is Scoring.PENDING
    assert factories.case(session, receipt).severity is Severity.UNSCORED


def test_the_same_score_twice_is_written_once(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    scored = factories.result(factories.lease_image(session, receipt.pending_image_ids[0]), LOW)
    assert factories.record(session, [scored]) == 1
    before = factories.case(session, receipt).changed_at
    assert factories.record(session, [scored], TUESDAY) == 0
    assert session.scalar(select(func.count()).select_from(Assessment)) == 1
    assert factories.case(session, receipt).changed_at == before


def test_a_release_has_one_assessment_of_an_image(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    (image_id,) = receipt.pending_image_ids
    score_all(session, receipt, LOW)
    session.add(
        PendingImage(image_id=image_id, case_id=receipt.case_id, priority_rank=0, due_at=MONDAY)
    )
    session.flush()
    factories.score(session, image_id, INDETERMINATE)
    (row,) = session.scalars(select(Assessment)).all()
    assert row.p_severe == pytest.approx(LOW)
    # The case is triaged from what is stored.
    assert factories.image(session, image_id).severity is Severity.LOW
    assert session.get(PendingImage, image_id) is None


@pytest.mark.parametrize("p_severe", [0.6 - 1e-9, 0.6 + 1e-9, 0.3 - 1e-9, 0.3 + 1e-9])
def test_triaging_again_by_stored_assessments_changes_nothing(
    session: Session, clinic_id: UUID, p_severe: float
) -> None:
    """A stored score has fewer digits than the one that was computed."""
    receipt = factories.receive(session, clinic_id)
    score_all(session, receipt, p_severe)
    stored = session.scalars(select(Assessment)).one()
    _, policy = active_policy(session)
    again = triage_image(assessments.finding(stored), policy)
    assert factories.image(session, stored.image_id).severity is again.severity


def test_nothing_to_record_is_no_error(session: Session) -> None:
    assert factories.record(session, []) == 0

"""What the first score does to its case."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import (
    INDETERMINATE,
    LOW,
    MONDAY,
    NEXT_MONDAY,
    SEVERE,
    TUESDAY,
    WEDNESDAY,
    change_of,
)
from tests.scores import score_all

from dermtriage.core.enums import (
    CLASSES,
    ImageType,
    Scoring,
    Severity,
)
from dermtriage.intake.receipts import Receipt
from dermtriage.models import Assessment, PendingImage
from dermtriage.releases.queries import active_policy, active_release
from dermtriage.scoring.recording import ScoredImage


@pytest.mark.parametrize(
    ("p_severe", "disagreement", "severity", "lane", "due"),
    [
        (LOW, 0.0, Severity.LOW, 3, NEXT_MONDAY),
        (LOW, 0.6, Severity.INDETERMINATE, 2, WEDNESDAY),
        (INDETERMINATE, 0.0, Severity.INDETERMINATE, 2, WEDNESDAY),
        (SEVERE, 0.6, Severity.SEVERE, 0, TUESDAY),
    ],
)
def test_a_score_places_its_case(
    session: Session,
    clinic_id: UUID,
    p_severe: float,
    disagreement: float,
    severity: Severity,
    lane: int,
    due: datetime,
) -> None:
    receipt = factories.receive(session, clinic_id)
    (image_id,) = receipt.pending_image_ids
    later = MONDAY + timedelta(hours=1)
    scored = factories.result(factories.lease_image(session, image_id), p_severe, disagreement)
    assert factories.record(session, [scored], later) == 1

    case = factories.case(session, receipt)
    assert (case.severity, case.latest_severity, case.lane) == (severity, severity, lane)
    assert (case.due_at, case.changed_at) == (due, later)
    assert case.triage_version == (1 if severity is Severity.SEVERE else 0)
    image = factories.image(session, image_id)
    assert (image.scoring, image.severity) == (Scoring.SCORED, severity)
    assert session.get(PendingImage, image_id) is None
    event = factories.events(session, receipt)[-1]
    assert change_of(event) == ("scored", "unscored", severity, 1, lane)
    assert (event.release_id, event.policy_id) == (
        active_release(session).id,
        active_policy(session)[0],
    )
    assert event.image_ids == [str(image_id)]


def test_an_assessment_stores_what_was_predicted(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    lease = factories.lease_image(session, receipt.pending_image_ids[0])
    probabilities = {name: (place + 1) / 28 for place, name in enumerate(reversed(CLASSES))}
    scored = ScoredImage(
        lease=lease,
        p_severe=0.25,
        probabilities=probabilities,
        disagreement=0.125,
        out_of_scope=None,
        members={"a": [0.5] * 7},
        quality={"sharpness": 3.0},
        inputs={"sex": "female", "age_approx": 45},
    )
    factories.record(session, [scored])
    row = session.scalars(select(Assessment)).one()
    assert (row.image_id, row.release_id) == (lease.image_id, active_release(session).id)
    assert row.probabilities == pytest.approx([probabilities[name] for name in CLASSES])
    assert (row.p_severe, row.disagreement, row.out_of_scope) == (0.25, 0.125, None)
    assert (row.members, row.quality) == ({"a": [0.5] * 7}, {"sharpness": 3.0})
    assert (row.inputs, row.device) == ({"sex": "female", "age_approx": 45}, "cpu")


def test_a_case_stays_unscored_until_its_last_image(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(
        session, clinic_id, types=[ImageType.OVERVIEW, ImageType.DERMOSCOPIC, ImageType.CLOSE_UP]
    )
    score_all(session, receipt, INDETERMINATE)
    case = factories.case(session, receipt)
    assert (case.severity, case.lane, len(factories.events(session, receipt))) == (
        Severity.UNSCORED,
        1,
        1,
    )
    factories.score(session, receipt.pending_image_ids[1], LOW)
    assert factories.case(session, receipt).severity is Severity.INDETERMINATE


def test_a_case_is_severe_as_soon_as_one_image_is(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id, images=3)
    score_all(session, receipt, SEVERE)
    case = factories.case(session, receipt)
    assert (case.severity, case.lane, case.triage_version) == (Severity.SEVERE, 0, 1)
    score_all(
        session, Receipt(receipt.case_id, MONDAY, case.priority, receipt.images[1:], True), LOW, LOW
    )
    case = factories.case(session, receipt)
    assert (case.severity, case.latest_severity) == (Severity.SEVERE, Severity.SEVERE)
    assert len(factories.events(session, receipt)) == 2


@pytest.mark.parametrize(("priority", "lane"), [("stat", 0), ("asap", 0), ("urgent", 2)])
def test_a_low_score_does_not_lower_the_priority_of_the_referrer(
    session: Session, clinic_id: UUID, priority: str, lane: int
) -> None:
    receipt = factories.receive(session, clinic_id, priority=priority)
    score_all(session, receipt, LOW)
    case = factories.case(session, receipt)
    assert (case.severity, case.lane) == (Severity.LOW, lane)
    assert case.due_at.date() <= WEDNESDAY.date()

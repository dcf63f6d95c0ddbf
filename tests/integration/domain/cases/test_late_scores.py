"""Scores that come after a clinician has acted, and retakes that cross them."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import LOW, MONDAY, SEVERE

from dermtriage.core.enums import CaseState, Outcome, Priority, Severity
from dermtriage.core.errors import Conflict, RequestRejected
from dermtriage.review import claims, decisions, worklist
from dermtriage.review.case_detail import read_case

LATER = MONDAY + timedelta(hours=3)


def test_a_correction_that_did_not_see_a_late_severe_score_is_refused(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    first = factories.decide(session, receipt.case_id, clinician_id, Outcome.REFER_URGENT)
    colleague = factories.clinician(session)
    claim = claims.claim_case(
        session, case_id=receipt.case_id, clinician_id=colleague, now=MONDAY, lifetime=9999
    )
    seen = factories.case(session, receipt).triage_version
    factories.score(session, receipt.images[0].image_id, SEVERE, MONDAY)
    session.flush()

    def correct(version: int) -> None:
        decisions.decide(
            session,
            case_id=receipt.case_id,
            clinician_id=colleague,
            token=claim.token,
            triage_version=version,
            outcome=Outcome.DISCHARGE_WITH_ADVICE,
            supersedes_id=first.id,
            now=MONDAY,
        )

    with pytest.raises(Conflict) as refused:
        correct(seen)
    assert refused.value.code == "severity_rose"
    correct(factories.case(session, receipt).triage_version)
    session.flush()
    review = read_case(session, case_id=receipt.case_id, now=MONDAY)
    assert review.decisions[-1].severity_at_decision is Severity.SEVERE


def test_a_retake_is_taken_in_although_a_late_score_reopened_its_case(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    old = factories.receive(session, clinic_id)
    factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)
    factories.score(session, old.images[0].image_id, SEVERE, LATER)
    session.flush()
    assert factories.case(session, old).state is CaseState.OPEN
    new = factories.receive(session, clinic_id, now=LATER, replaces_case_id=old.case_id)
    # The recalled case still wants a decision of its own.
    assert factories.case(session, old).state is CaseState.OPEN
    assert factories.case(session, new).lane == 0
    with pytest.raises(RequestRejected):
        factories.receive(session, clinic_id, now=LATER, replaces_case_id=old.case_id)


def test_a_retake_does_not_fall_behind_the_case_it_replaces(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    old = factories.receive(session, clinic_id, priority=Priority.STAT)
    factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)
    new = factories.receive(session, clinic_id, now=LATER, replaces_case_id=old.case_id)
    assert (new.priority, factories.case(session, new).lane) == (Priority.STAT, 0)


def test_cases_that_await_a_retake_can_be_read(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    waiting = factories.receive(session, clinic_id)
    factories.decide(session, waiting.case_id, clinician_id, Outcome.RETAKE)
    factories.receive(session, clinic_id)
    session.flush()
    page = worklist.page(session, now=MONDAY, limit=10, where=worklist.Filter(awaiting_retake=True))
    assert [item.case.id for item in page.items] == [waiting.case_id]


def test_the_first_score_takes_a_case_out_of_the_unscored_lane(
    session: Session, clinic_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    assert factories.case(session, receipt).lane == 1
    factories.score(session, receipt.pending_image_ids[0], LOW)
    assert factories.case(session, receipt).lane == 3

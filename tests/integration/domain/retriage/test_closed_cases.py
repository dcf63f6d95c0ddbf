"""A changed policy recalls decided cases, and leaves withdrawn ones alone."""

from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import FRIDAY, INDETERMINATE, SEVERE, WEDNESDAY, change_of
from tests.policies import LAXER, STRICTER, apply, last_event, placement_of, scored_case

from dermtriage.core.enums import CaseState, Outcome, Severity
from dermtriage.models import (
    Case,
)
from dermtriage.operations.invariants import check_invariants
from dermtriage.retriage.batches import count_cases
from dermtriage.retriage.tally import Tally


@pytest.mark.parametrize("outcome", [Outcome.REFER_ROUTINE, Outcome.RETAKE])
def test_a_decided_case_is_recalled_once(
    session: Session, clinic_id: UUID, clinician_id: UUID, outcome: Outcome
) -> None:
    receipt = scored_case(session, clinic_id, INDETERMINATE)
    decision = factories.decide(session, receipt.case_id, clinician_id, outcome)
    tally = apply(session, STRICTER, now=FRIDAY)
    assert (tally.recalled, tally.changed, tally.lowered) == (1, 1, 0)
    assert tally.transitions == {}
    case = factories.case(session, receipt)
    assert (case.state, case.severity, case.lane) == (CaseState.OPEN, Severity.SEVERE, 0)
    assert (case.recalled_at, case.changed_at) == (FRIDAY, FRIDAY)
    assert (case.due_at, case.triage_version) == (WEDNESDAY, 1)
    session.refresh(decision)
    assert decision.recalled_at == FRIDAY
    event = last_event(session, receipt)
    assert change_of(event) == ("recalled", "indeterminate", "severe", 2, 0)
    assert event.image_ids == [str(receipt.pending_image_ids[0])]

    factories.decide(session, receipt.case_id, clinician_id, now=FRIDAY)
    apply(session, LAXER, now=FRIDAY)
    assert apply(session, STRICTER, now=FRIDAY).recalled == 0
    assert check_invariants(session) == {}


def test_an_urgently_referred_case_is_not_recalled(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = scored_case(session, clinic_id, INDETERMINATE)
    factories.decide(session, receipt.case_id, clinician_id, Outcome.REFER_URGENT)
    tally = apply(session, STRICTER)
    assert (tally.cases, tally.changed) == (1, 0)
    case = factories.case(session, receipt)
    assert (case.state, case.severity) == (CaseState.DECIDED, Severity.INDETERMINATE)
    assert (case.latest_severity, case.triage_version) == (Severity.SEVERE, 1)


def test_a_decided_case_needs_no_permission_to_get_a_lower_latest_severity(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = scored_case(session, clinic_id, SEVERE)
    factories.decide(session, receipt.case_id, clinician_id)
    assert apply(session, LAXER).changed == 0
    assert placement_of(session, receipt)[:2] == (Severity.SEVERE, Severity.INDETERMINATE)


def test_a_withdrawn_case_is_left_alone(session: Session, clinic_id: UUID) -> None:
    receipt = scored_case(session, clinic_id, INDETERMINATE)
    session.execute(update(Case).values(state=CaseState.WITHDRAWN))
    assert count_cases(session) == 0
    assert apply(session, STRICTER) == Tally()
    assert placement_of(session, receipt)[:2] == (Severity.INDETERMINATE, Severity.INDETERMINATE)
    (image_id,) = receipt.pending_image_ids
    assert factories.image(session, image_id).severity is Severity.INDETERMINATE

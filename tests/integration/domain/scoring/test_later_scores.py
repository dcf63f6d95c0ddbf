"""What later scores do to open and to decided cases."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import (
    FRIDAY,
    INDETERMINATE,
    LOW,
    MONDAY,
    NEXT_MONDAY,
    SEVERE,
    TUESDAY,
    WEDNESDAY,
    change_of,
)
from tests.scores import rescore, score_all

from dermtriage.core.enums import (
    CaseState,
    Outcome,
    Severity,
)
from dermtriage.operations import invariants


def test_an_upgrade_is_due_soon_and_counted(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    score_all(session, receipt, LOW)
    rescore(session, receipt, SEVERE, TUESDAY)
    case = factories.case(session, receipt)
    assert (case.severity, case.lane, case.triage_version) == (Severity.SEVERE, 0, 1)
    assert case.due_at == WEDNESDAY
    assert change_of(factories.events(session, receipt)[-1]) == ("upgraded", "low", "severe", 3, 0)


def test_an_upgrade_never_makes_a_case_due_later(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    score_all(session, receipt, LOW)
    rescore(session, receipt, SEVERE, MONDAY + timedelta(days=10))
    assert factories.case(session, receipt).due_at == NEXT_MONDAY


def test_severity_only_rises_while_the_case_is_open(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    score_all(session, receipt, SEVERE)
    before = factories.case(session, receipt).due_at
    rescore(session, receipt, LOW, TUESDAY)
    case = factories.case(session, receipt)
    assert (case.severity, case.latest_severity, case.lane) == (Severity.SEVERE, Severity.LOW, 0)
    assert (case.due_at, case.triage_version) == (before, 1)
    assert [event.kind for event in factories.events(session, receipt)] == ["received", "scored"]


@pytest.mark.parametrize("outcome", [Outcome.REFER_ROUTINE, Outcome.DISCHARGE_WITH_ADVICE])
def test_a_late_severe_score_recalls_a_decided_case(
    session: Session, clinic_id: UUID, clinician_id: UUID, outcome: Outcome
) -> None:
    receipt = factories.receive(session, clinic_id, images=2)
    decision = factories.decide(session, receipt.case_id, clinician_id, outcome)
    score_all(session, receipt, SEVERE, now=FRIDAY)

    case = factories.case(session, receipt)
    assert (case.state, case.severity, case.lane) == (CaseState.OPEN, Severity.SEVERE, 0)
    assert (case.recalled_at, case.changed_at) == (FRIDAY, FRIDAY)
    assert case.triage_version == 1
    assert case.due_at == WEDNESDAY  # its old due time is the earlier one
    session.refresh(decision)
    assert decision.recalled_at == FRIDAY
    event = factories.events(session, receipt)[-1]
    assert change_of(event) == ("recalled", "unscored", "severe", 1, 0)
    assert (event.from_state, event.to_state) == (CaseState.DECIDED, CaseState.OPEN)

    # The other image is one more score of an open case.
    factories.score(session, receipt.pending_image_ids[1], SEVERE, FRIDAY)
    assert [event.kind for event in factories.events(session, receipt)] == [
        "received",
        "decided",
        "recalled",
    ]
    # Decided again with the severe score in sight, it is left alone.
    again = factories.decide(session, receipt.case_id, clinician_id, outcome, FRIDAY)
    assert (again.supersedes_id, again.severity_at_decision) == (decision.id, Severity.SEVERE)
    rescore(session, receipt, SEVERE, FRIDAY)
    assert factories.case(session, receipt).state is CaseState.DECIDED
    assert invariants.check_invariants(session) == {}


def test_a_recall_soon_after_a_decision_is_due_after_the_interval(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    score_all(session, receipt, LOW)
    factories.decide(session, receipt.case_id, clinician_id)
    rescore(session, receipt, SEVERE, TUESDAY)
    case = factories.case(session, receipt)
    assert (case.state, case.due_at) == (CaseState.OPEN, WEDNESDAY)
    assert change_of(factories.events(session, receipt)[-1]) == ("recalled", "low", "severe", 3, 0)


def test_an_urgent_referral_is_not_recalled(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    factories.decide(session, receipt.case_id, clinician_id, Outcome.REFER_URGENT)
    score_all(session, receipt, SEVERE)
    case = factories.case(session, receipt)
    assert (case.state, case.severity) == (CaseState.DECIDED, Severity.UNSCORED)
    assert case.latest_severity is Severity.SEVERE
    assert factories.image(session, receipt.pending_image_ids[0]).severity is Severity.SEVERE


@pytest.mark.parametrize("p_severe", [LOW, INDETERMINATE])
def test_a_late_score_that_is_not_severe_recalls_nothing(
    session: Session, clinic_id: UUID, clinician_id: UUID, p_severe: float
) -> None:
    receipt = factories.receive(session, clinic_id)
    decision = factories.decide(session, receipt.case_id, clinician_id)
    score_all(session, receipt, p_severe)
    assert factories.case(session, receipt).state is CaseState.DECIDED
    session.refresh(decision)
    assert decision.recalled_at is None


def test_a_case_that_awaits_a_retake_is_recalled_too(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    factories.decide(session, receipt.case_id, clinician_id, Outcome.RETAKE)
    score_all(session, receipt, SEVERE)
    assert factories.case(session, receipt).state is CaseState.OPEN
    event = factories.events(session, receipt)[-1]
    assert (event.kind, event.from_state) == ("recalled", CaseState.AWAITING_RETAKE)


def test_a_decision_is_recalled_once(session: Session, clinic_id: UUID, clinician_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    decision = factories.decide(session, receipt.case_id, clinician_id)
    decision.recalled_at = MONDAY
    session.flush()
    score_all(session, receipt, SEVERE)
    assert factories.case(session, receipt).state is CaseState.DECIDED

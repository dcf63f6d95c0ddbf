"""Clinicians decide the cases that they have claimed, and correct decisions."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import LOW, MONDAY, SEVERE
from tests.reviews import EXPIRED, claim, conflict_code, decide

from dermtriage.cases.decisions import current_decision
from dermtriage.core.enums import CaseState, Outcome, Severity
from dermtriage.core.errors import Conflict
from dermtriage.models import AuditEntry, Decision, ReviewClaim
from dermtriage.operations import invariants


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.REFER_URGENT, CaseState.DECIDED),
        (Outcome.REFER_ROUTINE, CaseState.DECIDED),
        (Outcome.DISCHARGE_WITH_ADVICE, CaseState.DECIDED),
        (Outcome.RETAKE, CaseState.AWAITING_RETAKE),
    ],
)
def test_a_decision_is_stored(
    session: Session, clinic_id: UUID, clinician_id: UUID, outcome: Outcome, state: CaseState
) -> None:
    receipt = factories.receive(session, clinic_id)
    mine = claim(session, receipt, clinician_id)
    token = mine.token
    noon = MONDAY + timedelta(minutes=9)
    decision = decide(session, mine, outcome=outcome, advice="Rest.", diagnosis="nevus", now=noon)
    assert (decision.outcome, decision.advice, decision.diagnosis) == (outcome, "Rest.", "nevus")
    assert (decision.severity_at_decision, decision.triage_version) == (Severity.UNSCORED, 0)
    assert (decision.clinician_id, decision.claim_token) == (clinician_id, token)
    assert (decision.decided_at, decision.read_kind, decision.supersedes_id) == (
        noon,
        "first",
        None,
    )
    case = factories.case(session, receipt)
    assert (case.state, case.changed_at) == (state, noon)
    assert session.scalars(select(ReviewClaim)).all() == []
    event = factories.events(session, receipt)[-1]
    assert (event.kind, event.from_state, event.to_state) == ("decided", CaseState.OPEN, state)
    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "case.decided")).one()
    assert (entry.actor_id, entry.case_id) == (clinician_id, receipt.case_id)
    assert entry.detail == {"decision_id": str(decision.id)}
    assert invariants.check_invariants(session) == {}


@pytest.mark.parametrize("how", ["token", "clinician", "time", "other's"])
def test_a_decision_needs_a_valid_claim(
    session: Session, clinic_id: UUID, clinician_id: UUID, colleague_id: UUID, how: str
) -> None:
    receipt = factories.receive(session, clinic_id)
    mine = claim(session, receipt, clinician_id)
    changes: dict[str, Any] = {
        "token": {"token": mine.token + 1},
        "clinician": {"clinician_id": colleague_id},
        "time": {"now": EXPIRED},
        "other's": {"token": mine.token},
    }[how]
    if how == "other's":
        claim(session, receipt, colleague_id, now=EXPIRED)
        changes |= {"clinician_id": clinician_id}
    assert conflict_code(lambda: decide(session, mine, **changes)) == "claim_lost"
    assert factories.case(session, receipt).state is CaseState.OPEN
    assert session.scalars(select(Decision)).all() == []


def test_a_case_whose_severity_rose_must_be_read_again_first(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    mine = claim(session, receipt, clinician_id)
    factories.score(session, receipt.pending_image_ids[0], SEVERE)
    assert conflict_code(lambda: decide(session, mine)) == "severity_rose"
    assert session.scalars(select(Decision)).all() == []
    decision = decide(session, mine, triage_version=1)
    assert decision.severity_at_decision is Severity.SEVERE


def test_a_score_that_does_not_raise_the_severity_does_not_stop_a_decision(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    mine = claim(session, receipt, clinician_id)
    factories.score(session, receipt.pending_image_ids[0], LOW)
    assert decide(session, mine).severity_at_decision is Severity.LOW


def test_two_decisions_at_once_make_one(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id)
        held = claim(session, receipt, clinician_id)

    def run() -> str:
        try:
            with sessions.begin() as session:
                decide(session, held)
        except Conflict as conflict:
            return conflict.code
        return "decided"

    answers = factories.run_concurrently([run] * 4)
    assert sorted(answers) == ["claim_lost"] * 3 + ["decided"]


def test_a_decision_is_superseded_only_if_it_is_named(
    session: Session, clinic_id: UUID, clinician_id: UUID, colleague_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    first = decide(session, claim(session, receipt, clinician_id))
    mine = claim(session, receipt, colleague_id)
    assert conflict_code(lambda: decide(session, mine)) == "already_decided"
    assert conflict_code(lambda: decide(session, mine, supersedes_id=uuid4())) == "already_decided"
    second = decide(session, mine, supersedes_id=first.id, outcome=Outcome.DISCHARGE_WITH_ADVICE)
    assert second.supersedes_id == first.id
    assert current_decision(session, receipt.case_id) is second
    third = claim(session, receipt, clinician_id)
    assert (
        conflict_code(lambda: decide(session, third, supersedes_id=first.id)) == "already_decided"
    )
    assert {d.id for d in session.scalars(select(Decision))} == {first.id, second.id}


def test_a_superseding_decision_may_request_a_retake(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    first = decide(session, claim(session, receipt, clinician_id))
    retake = decide(
        session,
        claim(session, receipt, clinician_id),
        supersedes_id=first.id,
        outcome=Outcome.RETAKE,
    )
    assert factories.case(session, receipt).state is CaseState.AWAITING_RETAKE
    decide(session, claim(session, receipt, clinician_id), supersedes_id=retake.id)
    assert factories.case(session, receipt).state is CaseState.DECIDED
    assert [event.to_state for event in factories.events(session, receipt)] == [
        "open",
        "decided",
        "awaiting_retake",
        "decided",
    ]
    assert invariants.check_invariants(session) == {}


def test_a_recalled_case_is_decided_without_naming_the_old_decision(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    first = decide(session, claim(session, receipt, clinician_id))
    factories.score(session, receipt.pending_image_ids[0], SEVERE)
    mine = claim(session, receipt, clinician_id)
    second = decide(session, mine, triage_version=1, outcome=Outcome.REFER_URGENT)
    assert second.supersedes_id == first.id
    assert invariants.check_invariants(session) == {}


@pytest.mark.parametrize("recalled", [False, True])
def test_no_second_retake_of_a_replaced_case_can_be_requested(
    session: Session, clinic_id: UUID, clinician_id: UUID, recalled: bool
) -> None:
    """No clinic could answer it: a case is replaced once."""
    receipt = factories.receive(session, clinic_id)
    first = decide(session, claim(session, receipt, clinician_id), outcome=Outcome.RETAKE)
    retake = factories.receive(session, clinic_id, replaces_case_id=receipt.case_id)
    if recalled:
        factories.score(session, receipt.pending_image_ids[0], SEVERE)
    mine = claim(session, receipt, clinician_id)
    changes = {"triage_version": int(recalled), "supersedes_id": first.id}
    with pytest.raises(Conflict, match=str(retake.case_id)) as conflict:
        decide(session, mine, outcome=Outcome.RETAKE, **changes)
    assert conflict.value.code == "retake_arrived"
    decide(session, mine, **changes)
    assert factories.case(session, receipt).state is CaseState.DECIDED

"""A clinic takes back its own case while nothing is decided."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import LOW, MONDAY, SEVERE
from tests.reviews import conflict_code

from dermtriage.clinics import feed
from dermtriage.clinics.withdrawal import withdraw_case
from dermtriage.core.enums import CaseState, Outcome, Scoring
from dermtriage.core.errors import Conflict, NotFound, RequestRejected
from dermtriage.core.settings import Settings
from dermtriage.intake.receipts import Receipt
from dermtriage.models import AuditEntry, PendingImage
from dermtriage.operations.invariants import check_invariants
from dermtriage.operations.recovery import recover
from dermtriage.review import claims, worklist
from dermtriage.scoring.lease_release import release_leases, retry_later
from dermtriage.scoring.recording import record_failure

NOON = MONDAY + timedelta(hours=3)


def withdraw(session: Session, clinic_id: UUID, case_id: UUID, **changes: Any) -> None:
    withdraw_case(session, **{"clinic_id": clinic_id, "case_id": case_id, "now": NOON} | changes)


def assert_withdrawn(session: Session, receipt: Receipt) -> None:
    assert factories.case(session, receipt).state is CaseState.WITHDRAWN
    assert session.scalars(select(PendingImage)).all() == []
    assert worklist.page(session, now=NOON, limit=10).items == []
    assert check_invariants(session) == {}


def test_a_withdrawn_case_leaves_queue_and_worklist_and_its_clinic_sees_that(
    session: Session, clinic_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id, images=2)
    factories.score(session, receipt.pending_image_ids[0], LOW)
    withdraw(session, clinic_id, receipt.case_id, reason="Sent twice.")
    assert_withdrawn(session, receipt)
    case = factories.case(session, receipt)
    assert [image.scoring for image in case.images] == [Scoring.SCORED, Scoring.PENDING]
    event = factories.events(session, receipt)[-1]
    assert (event.kind, event.from_state, event.to_state) == ("withdrawn", "open", "withdrawn")
    assert (event.from_lane, event.to_lane, event.detail) == (1, 1, {"reason": "Sent twice."})
    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "case.withdrawn")).one()
    assert (entry.actor_kind, entry.actor_id, entry.case_id) == ("clinic", clinic_id, case.id)
    # Why is in the words of the clinic, which may name a patient: the audit log must not.
    assert entry.detail == {}
    page = feed.changed_cases(session, clinic_id=clinic_id, cursor=None, limit=10, now=NOON)
    assert [(own.case.state, own.case.changed_at) for own in page.cases] == [("withdrawn", NOON)]


def test_withdrawing_again_changes_nothing(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    withdraw(session, clinic_id, receipt.case_id)
    withdraw(session, clinic_id, receipt.case_id, reason="again", now=NOON + timedelta(hours=1))
    assert factories.case(session, receipt).changed_at == NOON
    assert [event.kind for event in factories.events(session, receipt)] == ["received", "withdrawn"]
    actions = session.scalars(select(AuditEntry.action)).all()
    assert actions.count("case.withdrawn") == 1


def test_a_case_that_awaits_a_retake_can_be_withdrawn(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    factories.decide(session, receipt.case_id, clinician_id, Outcome.RETAKE)
    withdraw(session, clinic_id, receipt.case_id)
    assert_withdrawn(session, receipt)
    # No retake can be sent for it any more.
    with pytest.raises(RequestRejected):
        factories.receive(session, clinic_id, replaces_case_id=receipt.case_id)


@pytest.mark.parametrize("recalled", [False, True])
def test_a_decided_case_cannot_be_withdrawn_and_neither_can_a_recalled_one(
    session: Session, clinic_id: UUID, clinician_id: UUID, recalled: bool
) -> None:
    receipt = factories.receive(session, clinic_id)
    factories.decide(session, receipt.case_id, clinician_id)
    if recalled:
        factories.score(session, receipt.pending_image_ids[0], SEVERE)
    before = factories.case(session, receipt).state
    assert conflict_code(lambda: withdraw(session, clinic_id, receipt.case_id)) == "already_decided"
    assert before is (CaseState.OPEN if recalled else CaseState.DECIDED)
    assert factories.case(session, receipt).state is before


def test_a_claimed_case_can_be_withdrawn_once_the_claim_has_expired(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    claim = claims.claim_case(
        session, case_id=receipt.case_id, clinician_id=clinician_id, now=NOON, lifetime=60
    )
    token = claim.token
    assert conflict_code(lambda: withdraw(session, clinic_id, receipt.case_id)) == "claimed"
    later = NOON + timedelta(minutes=1)
    withdraw(session, clinic_id, receipt.case_id, now=later)
    assert_withdrawn(session, receipt)
    asked: dict[str, Any] = {"case_id": receipt.case_id, "clinician_id": clinician_id}
    asked |= {"now": later, "lifetime": 60}
    assert conflict_code(lambda: claims.renew_claim(session, token=token, **asked)) == "claim_lost"
    assert conflict_code(lambda: claims.claim_case(session, **asked)) == "withdrawn"


def test_another_clinic_s_case_is_not_found(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    for own, case_id in ((factories.clinic(session), receipt.case_id), (clinic_id, uuid4())):
        with pytest.raises(NotFound) as missing:
            withdraw(session, own, case_id)
        assert missing.value.code == "case_not_found"
    assert factories.case(session, receipt).state is CaseState.OPEN


@pytest.mark.parametrize("reason", ["", " ", "x" * 501])
def test_a_reason_that_cannot_be_kept_is_refused(
    session: Session, clinic_id: UUID, reason: str
) -> None:
    receipt = factories.receive(session, clinic_id)
    with pytest.raises(RequestRejected, match="1 to 500 characters"):
        withdraw(session, clinic_id, receipt.case_id, reason=reason)
    assert factories.case(session, receipt).state is CaseState.OPEN


# Workers that were scoring it


def test_a_late_score_does_not_reopen_a_withdrawn_case(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    other = factories.receive(session, clinic_id)
    late, on_time = (
        factories.lease_image(session, each.pending_image_ids[0]) for each in (receipt, other)
    )
    withdraw(session, clinic_id, receipt.case_id)
    scores = [factories.result(late, SEVERE), factories.result(on_time, LOW)]
    assert factories.record(session, scores) == 1
    assert factories.image(session, on_time.image_id).scoring is Scoring.SCORED
    factories.decide(session, other.case_id, factories.clinician(session))
    assert_withdrawn(session, receipt)


def test_a_late_failure_puts_no_image_of_a_withdrawn_case_back_into_the_queue(
    session: Session, clinic_id: UUID, settings: Settings
) -> None:
    receipt = factories.receive(session, clinic_id)
    late = factories.lease_image(session, receipt.pending_image_ids[0])
    withdraw(session, clinic_id, receipt.case_id)
    retry_later(session, late, delay=0, error="broken")
    release_leases(session, [late], delay=0, error="outage")
    assert not record_failure(session, late, error="broken", now=NOON)
    assert recover(session, settings, now=NOON).failed == 0
    assert_withdrawn(session, receipt)


def test_a_claim_and_a_withdrawal_at_once_do_not_both_succeed(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        receipts = [factories.receive(session, clinic_id) for _ in range(8)]

    def attempt(act: Callable[[Session], object]) -> Callable[[], bool]:
        def run() -> bool:
            try:
                with sessions.begin() as session:
                    act(session)
            except Conflict:
                return False
            return True

        return run

    def claim(session: Session, case_id: UUID) -> None:
        claims.claim_case(
            session, case_id=case_id, clinician_id=clinician_id, now=NOON, lifetime=60
        )

    for receipt in receipts:
        done = factories.run_concurrently(
            [
                attempt(lambda s, case_id=receipt.case_id: claim(s, case_id)),
                attempt(lambda s, case_id=receipt.case_id: withdraw(s, clinic_id, case_id)),
            ]
        )
        assert sorted(done) == [False, True]

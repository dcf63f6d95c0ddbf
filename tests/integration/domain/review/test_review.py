"""Clinicians claim cases and decide them, also several at the same moment."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import LOW, MONDAY, SEVERE

from dermtriage.cases.decisions import current_decision
from dermtriage.core.enums import CaseState, Outcome, Severity
from dermtriage.core.errors import Conflict, NotFound
from dermtriage.intake.receipts import Receipt
from dermtriage.models import AuditEntry, Case, Decision, ReviewClaim
from dermtriage.operations import invariants
from dermtriage.review import claims, decisions

LIFETIME = 900.0
EXPIRED = MONDAY + timedelta(seconds=LIFETIME)
"""The moment at which a claim of Monday morning holds no more."""


def claim_next(session: Session, clinician_id: UUID, **changes: Any) -> UUID | None:
    asked = {"clinician_id": clinician_id, "now": MONDAY, "lifetime": LIFETIME} | changes
    claim = claims.claim_next(session, **asked)
    return claim.case_id if claim else None


def claim(session: Session, receipt: Receipt, clinician_id: UUID, **changes: Any) -> ReviewClaim:
    asked = {"case_id": receipt.case_id, "clinician_id": clinician_id}
    return claims.claim_case(session, **asked | {"now": MONDAY, "lifetime": LIFETIME} | changes)


def decide(session: Session, held: ReviewClaim, **changes: Any) -> Decision:
    asked: dict[str, Any] = {
        "case_id": held.case_id,
        "clinician_id": held.clinician_id,
        "token": held.token,
        "triage_version": 0,
        "outcome": Outcome.REFER_ROUTINE,
        "now": MONDAY,
    }
    return decisions.decide(session, **asked | changes)


def refused(call: Callable[[], object]) -> str:
    """Return the code of the conflict that a call must end in."""
    with pytest.raises(Conflict) as conflict:
        call()
    assert conflict.value.remedy
    return conflict.value.code


def audited(session: Session, receipt: Receipt) -> list[tuple[str, UUID | None]]:
    """Return what clinicians did with a case, and who."""
    entries = session.scalars(
        select(AuditEntry)
        .where(AuditEntry.case_id == receipt.case_id, AuditEntry.actor_kind == "clinician")
        .order_by(AuditEntry.id)
    )
    return [(entry.action, entry.actor_id) for entry in entries]


# Claiming the next case


def test_the_next_case_is_the_most_urgent_that_is_free(
    session: Session, clinic_id: UUID, clinician_id: UUID, colleague_id: UUID
) -> None:
    def send(priority: str, hours: int = 0) -> UUID:
        now = MONDAY + timedelta(hours=hours)
        return factories.receive(session, clinic_id, priority=priority, now=now).case_id

    later, routine = send("routine", 1), send("routine")
    asap, stat = send("asap"), send("stat")
    # What is late comes first in its lane, and not before a more urgent one.
    long_ago = MONDAY - timedelta(days=10)
    low = factories.receive(session, clinic_id, now=long_ago)
    factories.score(session, low.pending_image_ids[0], LOW, long_ago)
    who = [clinician_id, colleague_id] * 3
    assert [claim_next(session, each) for each in who] == [
        stat,
        asap,
        routine,
        later,
        low.case_id,
        None,
    ]


def test_only_open_cases_are_lent_by_urgency(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    for outcome in (Outcome.REFER_ROUTINE, Outcome.RETAKE):
        receipt = factories.receive(session, clinic_id, priority="stat")
        factories.decide(session, receipt.case_id, clinician_id, outcome)
    assert claim_next(session, clinician_id) is None


def test_a_claim_that_ran_out_lends_the_case_again(
    session: Session, clinic_id: UUID, clinician_id: UUID, colleague_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    first = claim(session, receipt, clinician_id)
    token = first.token
    just_before = EXPIRED - timedelta(microseconds=1)
    assert claim_next(session, colleague_id, now=just_before) is None
    assert claim_next(session, colleague_id, now=EXPIRED) == receipt.case_id
    held = session.scalars(select(ReviewClaim)).one()
    assert (held.clinician_id, held.expires_at) == (
        colleague_id,
        EXPIRED + timedelta(seconds=LIFETIME),
    )
    assert held.token > token


def test_many_clinicians_never_get_the_same_case(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        cases = [factories.receive(session, clinic_id).case_id for _ in range(24)]
        clinicians = [factories.clinician(session) for _ in range(6)]

    def read(clinician_id: UUID) -> Callable[[], list[UUID]]:
        def run() -> list[UUID]:
            mine = []
            while True:
                with sessions.begin() as session:
                    case_id = claim_next(session, clinician_id)
                if case_id is None:
                    return mine
                mine.append(case_id)

        return run

    lent = factories.together([read(clinician_id) for clinician_id in clinicians])
    assert sorted(case_id for mine in lent for case_id in mine) == sorted(cases)


def test_a_case_that_is_being_lent_is_passed_over(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID, colleague_id: UUID
) -> None:
    with sessions.begin() as session:
        first = factories.receive(session, clinic_id, priority="stat").case_id
        second = factories.receive(session, clinic_id).case_id
    with sessions.begin() as one, sessions.begin() as other:
        assert claim_next(one, clinician_id) == first
        assert claim_next(other, colleague_id) == second


# Claiming one case


def test_a_case_is_lent_to_one(
    session: Session, clinic_id: UUID, clinician_id: UUID, colleague_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    mine = claim(session, receipt, clinician_id)
    assert (mine.clinician_id, mine.expires_at) == (clinician_id, EXPIRED)
    assert refused(lambda: claim(session, receipt, colleague_id)) == "claimed_by_other"
    assert claim(session, receipt, colleague_id, now=EXPIRED).clinician_id == colleague_id
    assert refused(lambda: claim(session, receipt, clinician_id, now=EXPIRED)) == (
        "claimed_by_other"
    )
    assert audited(session, receipt) == [
        ("case.claimed", clinician_id),
        ("case.claimed", colleague_id),
    ]


def test_claiming_again_gives_a_new_token(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    old = claim(session, receipt, clinician_id).token
    new = claim(session, receipt, clinician_id)
    assert new.token > old
    assert refused(lambda: decide(session, new, token=old)) == "claim_lost"
    assert decide(session, new).claim_token == new.token


@pytest.mark.parametrize("verb", [claims.claim_case, claims.release_claim, decisions.decide])
def test_an_unknown_case_is_not_found(
    session: Session, clinician_id: UUID, verb: Callable[..., object]
) -> None:
    asked: dict[str, Any] = {"case_id": uuid4(), "clinician_id": clinician_id}
    if verb is not claims.release_claim:
        asked |= {"now": MONDAY}
    asked |= {"lifetime": 1} if verb is claims.claim_case else {"token": 1}
    if verb is decisions.decide:
        asked |= {"triage_version": 0, "outcome": Outcome.RETAKE}
    with pytest.raises(NotFound) as missing:
        verb(session, **asked)
    assert missing.value.code == "case_not_found"


def test_a_withdrawn_case_is_not_lent(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    session.execute(update(Case).values(state=CaseState.WITHDRAWN))
    assert refused(lambda: claim(session, receipt, clinician_id)) == "withdrawn"
    assert claim_next(session, clinician_id) is None


# Keeping and giving back


def test_renewing_prolongs_a_claim_that_holds(
    session: Session, clinic_id: UUID, clinician_id: UUID, colleague_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    mine = claim(session, receipt, clinician_id)

    def renew(**changes: Any) -> ReviewClaim:
        asked = {"case_id": receipt.case_id, "clinician_id": clinician_id, "token": mine.token}
        late = {"now": MONDAY + timedelta(seconds=600), "lifetime": LIFETIME}
        return claims.renew_claim(session, **asked | late | changes)

    for wrong in ({"token": mine.token + 1}, {"clinician_id": colleague_id}, {"now": EXPIRED}):
        assert refused(lambda wrong=wrong: renew(**wrong)) == "claim_lost"  # type: ignore[misc]
    assert renew().expires_at == EXPIRED + timedelta(seconds=600)
    assert refused(lambda: claim(session, receipt, colleague_id, now=EXPIRED)) == (
        "claimed_by_other"
    )


def test_releasing_gives_the_case_back_once(
    session: Session, clinic_id: UUID, clinician_id: UUID, colleague_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    token = claim(session, receipt, clinician_id).token

    def release(who: UUID, token: int) -> None:
        claims.release_claim(session, case_id=receipt.case_id, clinician_id=who, token=token)

    release(colleague_id, token)
    release(clinician_id, token + 1)
    assert claim_next(session, colleague_id) is None
    release(clinician_id, token)
    release(clinician_id, token)
    assert audited(session, receipt) == [
        ("case.claimed", clinician_id),
        ("case.released", clinician_id),
    ]
    assert claim_next(session, colleague_id) == receipt.case_id


# Deciding


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.REFER_URGENT, CaseState.DECIDED),
        (Outcome.REFER_ROUTINE, CaseState.DECIDED),
        (Outcome.DISCHARGE_WITH_ADVICE, CaseState.DECIDED),
        (Outcome.RETAKE, CaseState.AWAITING_RETAKE),
    ],
)
def test_a_decision_is_written_down(
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
def test_deciding_needs_the_claim(
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
    assert refused(lambda: decide(session, mine, **changes)) == "claim_lost"
    assert factories.case(session, receipt).state is CaseState.OPEN
    assert session.scalars(select(Decision)).all() == []


def test_a_case_that_rose_meanwhile_is_read_again_first(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    mine = claim(session, receipt, clinician_id)
    factories.score(session, receipt.pending_image_ids[0], SEVERE)
    assert refused(lambda: decide(session, mine)) == "severity_rose"
    assert session.scalars(select(Decision)).all() == []
    decision = decide(session, mine, triage_version=1)
    assert decision.severity_at_decision is Severity.SEVERE


def test_a_score_that_is_no_rise_does_not_stop_a_decision(
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

    answers = factories.together([run] * 4)
    assert sorted(answers) == ["claim_lost"] * 3 + ["decided"]


# Deciding again


def test_a_decision_is_superseded_by_name_alone(
    session: Session, clinic_id: UUID, clinician_id: UUID, colleague_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    first = decide(session, claim(session, receipt, clinician_id))
    mine = claim(session, receipt, colleague_id)
    assert refused(lambda: decide(session, mine)) == "already_decided"
    assert refused(lambda: decide(session, mine, supersedes_id=uuid4())) == "already_decided"
    second = decide(session, mine, supersedes_id=first.id, outcome=Outcome.DISCHARGE_WITH_ADVICE)
    assert second.supersedes_id == first.id
    assert current_decision(session, receipt.case_id) is second
    third = claim(session, receipt, clinician_id)
    assert refused(lambda: decide(session, third, supersedes_id=first.id)) == "already_decided"
    assert {d.id for d in session.scalars(select(Decision))} == {first.id, second.id}


def test_a_superseding_decision_may_ask_for_a_retake(
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
def test_no_second_retake_is_asked_of_a_case_that_was_replaced(
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

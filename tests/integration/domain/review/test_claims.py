"""Clinicians claim cases, also several at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import LOW, MONDAY
from tests.reviews import (
    EXPIRED,
    LIFETIME,
    audited_actions,
    claim,
    claim_next,
    conflict_code,
    decide,
)

from dermtriage.core.enums import CaseState, Outcome
from dermtriage.core.errors import NotFound, Unavailable
from dermtriage.models import Case, ReviewClaim
from dermtriage.review import claims, decisions


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


def test_only_open_cases_are_claimed_by_urgency(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    for outcome in (Outcome.REFER_ROUTINE, Outcome.RETAKE):
        receipt = factories.receive(session, clinic_id, priority="stat")
        factories.decide(session, receipt.case_id, clinician_id, outcome)
    assert claim_next(session, clinician_id) is None


def test_a_case_can_be_claimed_again_once_its_claim_has_expired(
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

    claimed = factories.run_concurrently([read(clinician_id) for clinician_id in clinicians])
    assert sorted(case_id for mine in claimed for case_id in mine) == sorted(cases)


def test_the_most_urgent_case_is_waited_for_while_triage_changes_it(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        first = factories.receive(session, clinic_id, priority="stat").case_id
        factories.receive(session, clinic_id)

    def claim_first() -> UUID | None:
        with sessions.begin() as session:
            return claim_next(session, clinician_id, patience=30)

    with ThreadPoolExecutor() as threads:
        with sessions.begin() as triage:
            claims.lock_case(triage, first)
            claimed = threads.submit(claim_first)
            with pytest.raises(TimeoutError):
                claimed.result(timeout=0.2)
        assert claimed.result() == first


def test_a_case_that_stays_locked_is_passed_over_for_the_next(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID, colleague_id: UUID
) -> None:
    with sessions.begin() as session:
        first = factories.receive(session, clinic_id, priority="stat").case_id
        second = factories.receive(session, clinic_id).case_id
    with sessions.begin() as one, sessions.begin() as other, sessions() as third:
        assert claim_next(one, clinician_id) == first
        assert claim_next(other, colleague_id, patience=0.1) == second
        # "Nothing is left" would not be true: one of them may be released again.
        with pytest.raises(Unavailable) as locked:
            claim_next(third, factories.clinician(third), patience=0.1)
        assert locked.value.code == "cases_locked"


def test_a_case_is_claimed_by_one_clinician(
    session: Session, clinic_id: UUID, clinician_id: UUID, colleague_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    mine = claim(session, receipt, clinician_id)
    assert (mine.clinician_id, mine.expires_at) == (clinician_id, EXPIRED)
    assert conflict_code(lambda: claim(session, receipt, colleague_id)) == "claimed_by_other"
    assert claim(session, receipt, colleague_id, now=EXPIRED).clinician_id == colleague_id
    assert conflict_code(lambda: claim(session, receipt, clinician_id, now=EXPIRED)) == (
        "claimed_by_other"
    )
    assert audited_actions(session, receipt) == [
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
    assert conflict_code(lambda: decide(session, new, token=old)) == "claim_lost"
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


def test_a_withdrawn_case_cannot_be_claimed(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    session.execute(update(Case).values(state=CaseState.WITHDRAWN))
    assert conflict_code(lambda: claim(session, receipt, clinician_id)) == "withdrawn"
    assert claim_next(session, clinician_id) is None


def test_renewing_prolongs_a_valid_claim(
    session: Session, clinic_id: UUID, clinician_id: UUID, colleague_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    mine = claim(session, receipt, clinician_id)

    def renew(**changes: Any) -> ReviewClaim:
        asked = {"case_id": receipt.case_id, "clinician_id": clinician_id, "token": mine.token}
        late = {"now": MONDAY + timedelta(seconds=600), "lifetime": LIFETIME}
        return claims.renew_claim(session, **asked | late | changes)

    for wrong in ({"token": mine.token + 1}, {"clinician_id": colleague_id}, {"now": EXPIRED}):
        assert conflict_code(lambda wrong=wrong: renew(**wrong)) == "claim_lost"  # type: ignore[misc]
    assert renew().expires_at == EXPIRED + timedelta(seconds=600)
    assert conflict_code(lambda: claim(session, receipt, colleague_id, now=EXPIRED)) == (
        "claimed_by_other"
    )


def test_releasing_returns_the_case_once(
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
    assert audited_actions(session, receipt) == [
        ("case.claimed", clinician_id),
        ("case.released", clinician_id),
    ]
    assert claim_next(session, colleague_id) == receipt.case_id

"""A retake replaces the case that awaits it, once."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import MONDAY

from dermtriage.core.enums import CaseState, Outcome
from dermtriage.core.errors import (
    DermtriageError,
    RequestRejected,
)
from dermtriage.intake.receipts import Receipt
from dermtriage.storage.image_store import ImageStore


def test_a_retake_closes_the_case_that_it_replaces(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id)
        factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)
    later = MONDAY + timedelta(hours=3)
    with sessions.begin() as session:
        new = factories.receive(session, clinic_id, now=later, replaces_case_id=old.case_id)
    with sessions() as session:
        replaced = factories.case(session, old)
        assert (replaced.state, replaced.changed_at) == (CaseState.DECIDED, later)
        assert factories.case(session, new).replaces_case_id == old.case_id
        event = factories.events(session, old)[-1]
        assert (event.kind, event.from_state, event.to_state) == (
            "replaced",
            "awaiting_retake",
            "decided",
        )
        assert factories.case(session, new).state is CaseState.OPEN


@pytest.mark.parametrize("outcome", [None, Outcome.REFER_ROUTINE])
def test_only_a_case_that_awaits_a_retake_is_replaced(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID, outcome: Outcome | None
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id)
        if outcome:
            factories.decide(session, old.case_id, clinician_id, outcome)
    with pytest.raises(RequestRejected) as refused, sessions.begin() as session:
        factories.receive(session, clinic_id, replaces_case_id=old.case_id)
    assert refused.value.code == "replaces_unknown_case"


@pytest.mark.parametrize(
    ("p_severe", "replaced", "requested", "priority", "lane"),
    [
        (factories.LOW, "routine", "routine", "routine", 1),
        (factories.LOW, "urgent", "routine", "urgent", 1),
        (factories.LOW, "stat", "asap", "stat", 0),
        (factories.LOW, "routine", "asap", "asap", 0),
        (factories.INDETERMINATE, "routine", "routine", "urgent", 1),
        (factories.SEVERE, "routine", "routine", "asap", 0),
    ],
)
def test_a_retake_is_never_less_urgent_than_the_case_that_it_replaces(
    sessions: sessionmaker[Session],
    clinic_id: UUID,
    clinician_id: UUID,
    p_severe: float,
    replaced: str,
    requested: str,
    priority: str,
    lane: int,
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id, priority=replaced)
        factories.score(session, old.pending_image_ids[0], p_severe)
        factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)
    with sessions.begin() as session:
        new = factories.receive(
            session, clinic_id, priority=requested, replaces_case_id=old.case_id
        )
        assert new.priority == priority
        assert factories.case(session, new).lane == lane


def test_a_retake_is_as_urgent_as_a_score_that_came_after_the_decision(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id)
        factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)
        factories.score(session, old.pending_image_ids[0], factories.INDETERMINATE)
        replaced = factories.case(session, old)
        assert (replaced.severity, replaced.latest_severity) == ("unscored", "indeterminate")
    with sessions.begin() as session:
        new = factories.receive(session, clinic_id, replaces_case_id=old.case_id)
        assert new.priority == "urgent"


def test_another_clinic_s_case_cannot_be_replaced(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id)
        other = factories.clinic(session)
        factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)
    with pytest.raises(RequestRejected) as refused, sessions.begin() as session:
        factories.receive(session, other, replaces_case_id=old.case_id)
    assert refused.value.code == "replaces_unknown_case"
    with sessions() as session:
        assert factories.case(session, old).state is CaseState.AWAITING_RETAKE


def test_simultaneous_retakes_replace_a_case_once(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id)
        factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)

    def send() -> Receipt | DermtriageError:
        try:
            with sessions.begin() as session:
                return factories.receive(session, clinic_id, replaces_case_id=old.case_id)
        except DermtriageError as error:
            return error

    answers = factories.run_concurrently([send] * 3)
    assert sum(isinstance(answer, Receipt) for answer in answers) == 1
    refused = [answer for answer in answers if isinstance(answer, DermtriageError)]
    assert {error.code for error in refused} == {"replaces_unknown_case"}


def test_a_repeated_retake_gets_its_receipt_again(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id)
        factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)
    with sessions.begin() as session:
        new = factories.receive(session, clinic_id, key="a key", replaces_case_id=old.case_id)
    with sessions.begin() as session:
        again = factories.receive(session, clinic_id, key="a key", replaces_case_id=old.case_id)
    assert again == replace(new, created=False)


def test_simultaneous_repeats_of_a_retake_get_one_receipt(
    sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id)
        factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)

    def send() -> Receipt:
        return factories.submit(sessions, store, clinic_id, replaces_case_id=old.case_id)

    receipts = factories.run_concurrently([send] * 6)
    assert sum(receipt.created for receipt in receipts) == 1
    assert len({receipt.case_id for receipt in receipts}) == 1

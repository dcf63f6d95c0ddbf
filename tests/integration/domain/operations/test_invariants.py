"""A whole day breaks no invariant, and each one that is broken is found."""

from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import INDETERMINATE, LOW, MONDAY, SEVERE
from tests.runs import find_or_add_release, finish_and_report, plan_run, score_all_chunks

from dermtriage.cases import ageing
from dermtriage.clinics.withdrawal import withdraw_case
from dermtriage.core.enums import ImageType, Outcome
from dermtriage.models import AuditEntry
from dermtriage.operations import invariants
from dermtriage.operations.invariants import INVARIANTS, Invariant, check_invariants
from dermtriage.rescoring.scope import Scope
from dermtriage.scoring import recording

BROKEN: dict[Invariant, list[str]] = {
    invariants.pending_images_are_queued: [
        "DELETE FROM pending_images",
        "INSERT INTO pending_images (image_id, case_id, priority_rank, due_at, attempts)"
        " SELECT id, case_id, 3, now(), 0 FROM images WHERE scoring = 'failed'",
        "UPDATE images SET scoring = 'failed' WHERE scoring = 'pending'",
        "INSERT INTO pending_images (image_id, case_id, priority_rank, due_at, attempts)"
        " SELECT i.id, i.case_id, 3, now(), 0 FROM images i JOIN cases c ON c.id = i.case_id"
        " WHERE c.state = 'withdrawn' AND i.scoring = 'pending'",
    ],
    invariants.scored_images_have_their_assessment: [
        "DELETE FROM assessments",
        "UPDATE images SET release_id = NULL WHERE scoring = 'scored'",
    ],
    invariants.severe_images_make_open_cases_severe: [
        "UPDATE cases SET severity = 'low' WHERE state = 'open' AND severity = 'severe'"
    ],
    invariants.missing_scores_make_open_cases_unscored: [
        "UPDATE cases SET latest_severity = 'low' WHERE state = 'open' AND severity = 'unscored'"
    ],
    invariants.cases_have_images: [
        "INSERT INTO cases (id, clinic_id, received_at, priority, history, state, severity,"
        " latest_severity, lane, due_at, triage_version, changed_at)"
        " SELECT gen_random_uuid(), id, now(), 'routine', '{}', 'open', 'unscored', 'unscored',"
        " 1, now(), 0, now() FROM clinics"
    ],
    invariants.cases_agree_with_their_last_event: [
        "UPDATE cases SET lane = 0 WHERE severity = 'low'",
        "UPDATE cases SET state = 'open' WHERE state = 'withdrawn'",
        "UPDATE cases SET severity = 'indeterminate' WHERE severity = 'low' AND lane < 3",
        "UPDATE cases SET state = 'open' WHERE state = 'decided'",
        "DELETE FROM triage_events",
    ],
    invariants.decided_cases_have_a_decision: [
        "UPDATE cases SET state = 'decided' WHERE severity = 'unscored'",
        "UPDATE cases SET state = 'awaiting_retake' WHERE severity = 'unscored'",
    ],
    invariants.awaited_retakes_were_requested: [
        "UPDATE cases SET state = 'awaiting_retake' WHERE state = 'decided'"
    ],
    invariants.cases_have_one_current_decision: ["UPDATE decisions SET supersedes_id = NULL"],
    invariants.finished_runs_have_done_their_chunks: ["UPDATE rescore_chunks SET done_at = NULL"],
    invariants.open_cases_have_an_ageing_time: ["UPDATE cases SET ages_at = NULL"],
}


@pytest.fixture
def day(session: Session, clinic_id: UUID, clinician_id: UUID) -> Session:
    """A session in which everything happened that can happen to cases."""

    def send(*scores: float, images: int = 1, **fields: object) -> factories.Receipt:
        receipt = factories.receive(session, clinic_id, images=images, **fields)
        for image_id, p_severe in zip(receipt.pending_image_ids, scores, strict=False):
            factories.score(session, image_id, p_severe)
        return receipt

    send(priority="stat")
    send(LOW, images=2)
    send(SEVERE, images=2)
    send(INDETERMINATE)
    send(LOW, priority="urgent")
    factories.receive(session, clinic_id, types=[ImageType.OVERVIEW])
    failed = send(LOW, images=2)
    lease = factories.lease_image(session, failed.pending_image_ids[1])
    assert recording.record_failure(session, lease, error="broken", now=MONDAY)
    for outcome in Outcome:
        factories.decide(session, send(LOW).case_id, clinician_id, outcome)
    recalled = send()
    factories.decide(session, recalled.case_id, clinician_id)
    factories.score(session, recalled.pending_image_ids[0], SEVERE)
    corrected = send(LOW)
    for outcome in (Outcome.DISCHARGE_WITH_ADVICE, Outcome.REFER_ROUTINE):
        factories.decide(session, corrected.case_id, clinician_id, outcome)
    replaced = send(INDETERMINATE)
    factories.decide(session, replaced.case_id, clinician_id, Outcome.RETAKE)
    send(replaces_case_id=replaced.case_id)
    for withdrawn in (send(LOW, images=2), send()):
        withdraw_case(session, clinic_id=clinic_id, case_id=withdrawn.case_id, now=MONDAY)
    ageing.age_cases(session, now=MONDAY.replace(day=20))
    _rescore(session)
    send(LOW)
    session.flush()
    return session


def _rescore(session: Session) -> None:
    """Have a run by a second release, which only compares, to its end."""
    find_or_add_release(session)
    run = plan_run(session, Scope(kind="all"), size=5)
    score_all_chunks(session, LOW)
    assert finish_and_report(session, run.id).scored == run.images


def test_nothing_that_can_happen_breaks_an_invariant(day: Session) -> None:
    assert check_invariants(day) == {}
    entry = day.scalars(select(AuditEntry).where(AuditEntry.action == "invariants.checked")).one()
    assert (entry.actor_kind, entry.detail) == ("operator", {"broken": "0"})


def test_each_invariant_is_broken_below_and_has_a_sentence_for_people() -> None:
    assert set(BROKEN) == set(INVARIANTS)
    assert all(invariant.__doc__ for invariant in INVARIANTS)


@pytest.mark.parametrize(
    ("invariant", "statement"),
    [
        pytest.param(invariant, each, id=f"{invariant.__name__}-{number}")
        for invariant, breaks in BROKEN.items()
        for number, each in enumerate(breaks)
    ],
)
def test_what_is_broken_is_found(day: Session, invariant: Invariant, statement: str) -> None:
    assert day.execute(text(statement)).rowcount > 0  # type: ignore[attr-defined]
    broken = check_invariants(day)
    assert broken[invariant.__name__]
    entry = day.scalars(select(AuditEntry).where(AuditEntry.action == "invariants.checked")).one()
    assert entry.detail == {"broken": str(len(broken))}


def test_some_examples_suffice(day: Session) -> None:
    day.execute(text("DELETE FROM triage_events"))
    broken = check_invariants(day, examples=2)
    assert [len(found) for found in broken.values()] == [2]

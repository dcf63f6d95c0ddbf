"""What a score does to its case, also when scores come late, twice, or at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import INDETERMINATE, LOW, MONDAY, SEVERE

from dermtriage.cases import ageing
from dermtriage.cases.decisions import current_decision
from dermtriage.core.enums import (
    CLASSES,
    CaseState,
    ImageType,
    Outcome,
    Priority,
    Scoring,
    Severity,
)
from dermtriage.intake.receipts import Receipt
from dermtriage.models import Assessment, Decision, PendingImage, Release, TriageEvent
from dermtriage.operations import invariants
from dermtriage.releases.queries import active_policy, active_release
from dermtriage.scoring import assessments, recording
from dermtriage.scoring.leases import MAX_ERROR
from dermtriage.scoring.recording import ScoredImage
from dermtriage.triage.image_severity import triage_image

TUESDAY = MONDAY + timedelta(days=1)
WEDNESDAY = MONDAY + timedelta(days=2)
NEXT_MONDAY = MONDAY + timedelta(days=7)


def change(event: TriageEvent) -> tuple[str, str | None, str, int | None, int]:
    return event.kind, event.from_severity, event.to_severity, event.from_lane, event.to_lane


def score_all(session: Session, receipt: Receipt, *scores: float, now: datetime = MONDAY) -> None:
    for image_id, p_severe in zip(receipt.pending_image_ids, scores, strict=False):
        factories.score(session, image_id, p_severe, now)


def rescore(session: Session, receipt: Receipt, p_severe: float, now: datetime) -> None:
    """Score the first image again with a newer release, as a rescore run will."""
    count = session.scalar(select(func.count()).select_from(Release))
    release = Release(name=f"newer {count}", manifest={}, manifest_sha256=bytes(32))
    image_id = receipt.pending_image_ids[0]
    session.add(release)
    session.add(
        PendingImage(image_id=image_id, case_id=receipt.case_id, priority_rank=0, due_at=now)
    )
    session.flush()
    said = factories.result(factories.lease(session, image_id), p_severe)
    assert (
        recording.record_scores(session, [said], release_id=release.id, device="cpu", now=now) == 1
    )


# The first score


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
    said = factories.result(factories.lease(session, image_id), p_severe, disagreement)
    assert factories.record(session, [said], later) == 1

    case = factories.case(session, receipt)
    assert (case.severity, case.latest_severity, case.lane) == (severity, severity, lane)
    assert (case.due_at, case.changed_at) == (due, later)
    assert case.triage_version == (1 if severity is Severity.SEVERE else 0)
    image = factories.image(session, image_id)
    assert (image.scoring, image.severity) == (Scoring.SCORED, severity)
    assert session.get(PendingImage, image_id) is None
    event = factories.events(session, receipt)[-1]
    assert change(event) == ("scored", "unscored", severity, 1, lane)
    assert (event.release_id, event.policy_id) == (
        active_release(session).id,
        active_policy(session)[0],
    )
    assert event.image_ids == [str(image_id)]


def test_an_assessment_keeps_what_was_said(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    lease = factories.lease(session, receipt.pending_image_ids[0])
    probabilities = {name: (place + 1) / 28 for place, name in enumerate(reversed(CLASSES))}
    said = ScoredImage(
        lease=lease,
        p_severe=0.25,
        probabilities=probabilities,
        disagreement=0.125,
        out_of_scope=None,
        members={"a": [0.5] * 7},
        quality={"sharpness": 3.0},
        inputs={"sex": "female", "age_approx": 45},
    )
    factories.record(session, [said])
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
def test_a_low_score_does_not_lower_what_the_referrer_asked(
    session: Session, clinic_id: UUID, priority: str, lane: int
) -> None:
    receipt = factories.receive(session, clinic_id, priority=priority)
    score_all(session, receipt, LOW)
    case = factories.case(session, receipt)
    assert (case.severity, case.lane) == (Severity.LOW, lane)
    assert case.due_at.date() <= WEDNESDAY.date()


# Leases, and the same score again


def test_a_result_whose_lease_was_lost_is_dropped(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id, images=2)
    one, two = receipt.pending_image_ids
    slow = factories.lease(session, one, lease_seconds=-1)
    factories.lease(session, one)
    held = factories.lease(session, two)
    results = [factories.result(slow, SEVERE), factories.result(held, LOW)]
    assert factories.record(session, results) == 1
    assert [row.image_id for row in session.scalars(select(Assessment))] == [two]
    assert factories.image(session, one).scoring is Scoring.PENDING
    assert factories.case(session, receipt).severity is Severity.UNSCORED


def test_the_same_result_twice_is_written_once(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    said = factories.result(factories.lease(session, receipt.pending_image_ids[0]), LOW)
    assert factories.record(session, [said]) == 1
    before = factories.case(session, receipt).changed_at
    assert factories.record(session, [said], TUESDAY) == 0
    assert session.scalar(select(func.count()).select_from(Assessment)) == 1
    assert factories.case(session, receipt).changed_at == before


def test_a_release_says_one_thing_of_an_image(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    (image_id,) = receipt.pending_image_ids
    score_all(session, receipt, LOW)
    session.add(
        PendingImage(image_id=image_id, case_id=receipt.case_id, priority_rank=0, due_at=MONDAY)
    )
    session.flush()
    factories.score(session, image_id, INDETERMINATE)
    (row,) = session.scalars(select(Assessment)).all()
    assert row.p_severe == pytest.approx(LOW)
    # The case is triaged from what is stored.
    assert factories.image(session, image_id).severity is Severity.LOW
    assert session.get(PendingImage, image_id) is None


@pytest.mark.parametrize("p_severe", [0.6 - 1e-9, 0.6 + 1e-9, 0.3 - 1e-9, 0.3 + 1e-9])
def test_triaging_again_from_what_is_stored_changes_nothing(
    session: Session, clinic_id: UUID, p_severe: float
) -> None:
    """A stored score has fewer digits than the one that was computed."""
    receipt = factories.receive(session, clinic_id)
    score_all(session, receipt, p_severe)
    stored = session.scalars(select(Assessment)).one()
    _, policy = active_policy(session)
    again = triage_image(assessments.finding(stored), policy)
    assert factories.image(session, stored.image_id).severity is again.severity


def test_nothing_to_record_is_no_error(session: Session) -> None:
    assert factories.record(session, []) == 0


# At the same moment


def test_two_images_of_one_case_at_once(sessions: sessionmaker[Session], clinic_id: UUID) -> None:
    """The second waits for the first, and then sees what it wrote."""
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, images=2)
        leases = [factories.lease(session, image_id) for image_id in receipt.pending_image_ids]

    def record_second() -> int:
        with sessions.begin() as session:
            return factories.record(session, [factories.result(leases[1], LOW)])

    with ThreadPoolExecutor(1) as pool:
        with sessions.begin() as first:
            factories.record(first, [factories.result(leases[0], INDETERMINATE)])
            second = pool.submit(record_second)
            with sessions() as watcher:
                while not factories.blocked(watcher) and not second.done():
                    watcher.rollback()
        assert second.result(20) == 1
    with sessions() as session:
        case = factories.case(session, receipt)
        assert (case.severity, case.lane) == (Severity.INDETERMINATE, 2)
        assert invariants.check_invariants(session) == {}


def test_what_was_read_before_the_lock_does_not_count(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, images=2)
        one, two = (factories.lease(session, i) for i in receipt.pending_image_ids)
    with sessions.begin() as early:
        seen = factories.case(early, receipt)
        assert [image.scoring for image in seen.images] == [Scoring.PENDING] * 2
        with sessions.begin() as other:
            factories.record(other, [factories.result(one, INDETERMINATE)])
        factories.record(early, [factories.result(two, LOW)])
        assert seen.severity is Severity.INDETERMINATE


def test_crossing_batches_neither_deadlock_nor_lose_a_score(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        receipts = [factories.receive(session, clinic_id, images=3) for _ in range(6)]
        leases = {
            image_id: factories.lease(session, image_id)
            for receipt in receipts
            for image_id in receipt.pending_image_ids
        }

    def batch(position: int) -> Callable[[], int]:
        order = receipts if position % 2 else receipts[::-1]
        scores = [SEVERE if number == position else LOW for number, _ in enumerate(receipts)]

        def run() -> int:
            results = [
                factories.result(leases[receipt.pending_image_ids[position]], p_severe)
                for receipt, p_severe in zip(order, scores, strict=True)
            ]
            with sessions.begin() as session:
                return factories.record(session, results)

        return run

    assert factories.together([batch(position) for position in range(3)]) == [6, 6, 6]
    with sessions() as session:
        severities = [factories.case(session, receipt).severity for receipt in receipts]
        # Positions 0 and 2 went backwards, 1 forwards.
        severe = {5, 3, 1}
        assert [severity is Severity.SEVERE for severity in severities] == [
            number in severe for number in range(6)
        ]
        assert session.scalar(select(func.count()).select_from(Assessment)) == 18
        assert invariants.check_invariants(session) == {}


# Later scores of open cases


def test_an_upgrade_is_due_soon_and_counted(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    score_all(session, receipt, LOW)
    rescore(session, receipt, SEVERE, TUESDAY)
    case = factories.case(session, receipt)
    assert (case.severity, case.lane, case.triage_version) == (Severity.SEVERE, 0, 1)
    assert case.due_at == WEDNESDAY
    assert change(factories.events(session, receipt)[-1]) == ("upgraded", "low", "severe", 3, 0)


def test_an_upgrade_never_puts_a_due_time_off(session: Session, clinic_id: UUID) -> None:
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


# Scores of decided cases


@pytest.mark.parametrize("outcome", [Outcome.REFER_ROUTINE, Outcome.DISCHARGE_WITH_ADVICE])
def test_a_late_severe_score_recalls_a_decided_case(
    session: Session, clinic_id: UUID, clinician_id: UUID, outcome: Outcome
) -> None:
    receipt = factories.receive(session, clinic_id, images=2)
    decision = factories.decide(session, receipt.case_id, clinician_id, outcome)
    friday = MONDAY + timedelta(days=4)
    score_all(session, receipt, SEVERE, now=friday)

    case = factories.case(session, receipt)
    assert (case.state, case.severity, case.lane) == (CaseState.OPEN, Severity.SEVERE, 0)
    assert (case.recalled_at, case.changed_at) == (friday, friday)
    assert case.triage_version == 1
    assert case.due_at == WEDNESDAY  # its old due time is the earlier one
    session.refresh(decision)
    assert decision.recalled_at == friday
    event = factories.events(session, receipt)[-1]
    assert change(event) == ("recalled", "unscored", "severe", 1, 0)
    assert (event.from_state, event.to_state) == (CaseState.DECIDED, CaseState.OPEN)

    # The other image is one more score of an open case.
    factories.score(session, receipt.pending_image_ids[1], SEVERE, friday)
    assert [event.kind for event in factories.events(session, receipt)] == [
        "received",
        "decided",
        "recalled",
    ]
    # Decided again with the severe score in sight, it is left alone.
    again = factories.decide(session, receipt.case_id, clinician_id, outcome, friday)
    assert (again.supersedes_id, again.severity_at_decision) == (decision.id, Severity.SEVERE)
    rescore(session, receipt, SEVERE, friday)
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
    assert change(factories.events(session, receipt)[-1]) == ("recalled", "low", "severe", 3, 0)


def test_what_was_referred_urgently_is_not_recalled(
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


def test_the_decision_that_stands_is_the_one_nothing_supersedes(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    assert current_decision(session, receipt.case_id) is None
    made: list[Decision] = [
        factories.decide(session, receipt.case_id, clinician_id, outcome)
        for outcome in (Outcome.REFER_ROUTINE, Outcome.RETAKE, Outcome.REFER_URGENT)
    ]
    assert current_decision(session, receipt.case_id) is made[-1]


# What cannot be scored


def test_a_failed_image_leaves_its_case_unscored_and_high(
    session: Session, clinic_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id, images=2)
    one, two = receipt.pending_image_ids
    factories.score(session, one, LOW)
    lease = factories.lease(session, two)
    assert recording.record_failure(session, lease, error="broken " * 100, now=TUESDAY)
    image = factories.image(session, two)
    assert (image.scoring, image.severity) == (Scoring.FAILED, None)
    assert image.failure is not None
    assert len(image.failure) == MAX_ERROR
    case = factories.case(session, receipt)
    assert (case.severity, case.lane, case.changed_at) == (Severity.UNSCORED, 1, TUESDAY)
    assert session.scalars(select(PendingImage)).all() == []
    assert invariants.check_invariants(session) == {}


def test_a_severe_case_stays_severe_when_its_other_image_fails(
    session: Session, clinic_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id, images=2)
    score_all(session, receipt, SEVERE)
    lease = factories.lease(session, receipt.pending_image_ids[1])
    assert recording.record_failure(session, lease, error="broken", now=MONDAY)
    case = factories.case(session, receipt)
    assert (case.severity, case.latest_severity, case.lane) == ("severe", "severe", 0)


def test_failing_needs_the_lease(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    (image_id,) = receipt.pending_image_ids
    slow = factories.lease(session, image_id, lease_seconds=-1)
    quick = factories.lease(session, image_id)
    assert not recording.record_failure(session, slow, error="late", now=MONDAY)
    assert factories.image(session, image_id).scoring is Scoring.PENDING
    assert factories.record(session, [factories.result(quick, LOW)]) == 1
    assert not recording.record_failure(session, quick, error="too late", now=MONDAY)
    assert factories.image(session, image_id).failure is None


# Ageing


def test_waiting_cases_rise_lane_by_lane(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    score_all(session, receipt, LOW)
    course = []
    for day in range(14):
        ageing.age_cases(session, now=MONDAY + timedelta(days=day))
        case = factories.case(session, receipt)
        course.append(case.lane)
        assert case.due_at == NEXT_MONDAY
        assert case.severity is Severity.LOW
    assert course == [3] * 7 + [2] * 2 + [1] * 5
    assert case.ages_at is None
    assert [change(event) for event in factories.events(session, receipt)][2:] == [
        ("aged", "low", "low", 3, 2),
        ("aged", "low", "low", 2, 1),
    ]
    assert case.triage_version == 0


def test_ageing_makes_up_for_what_was_missed(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    score_all(session, receipt, LOW)
    assert ageing.age_cases(session, now=MONDAY + timedelta(days=30)) == 1
    assert factories.case(session, receipt).lane == 1
    assert change(factories.events(session, receipt)[-1]) == ("aged", "low", "low", 3, 1)


def test_ageing_looks_at_a_limited_number_and_at_open_cases_alone(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipts = [factories.receive(session, clinic_id) for _ in range(4)]
    for receipt in receipts:
        score_all(session, receipt, LOW)
    factories.decide(session, receipts[0].case_id, clinician_id)
    looked_at = [ageing.age_cases(session, now=NEXT_MONDAY, limit=2) for _ in range(3)]
    assert looked_at == [2, 1, 0]
    lanes = [factories.case(session, receipt).lane for receipt in receipts]
    assert lanes == [3, 2, 2, 2]


def test_a_score_after_a_long_wait_counts_the_wait(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id, priority=Priority.ROUTINE)
    score_all(session, receipt, INDETERMINATE, now=MONDAY + timedelta(days=3))
    case = factories.case(session, receipt)
    assert (case.severity, case.lane, case.due_at) == (Severity.INDETERMINATE, 1, WEDNESDAY)

"""Another policy for stored cases: what moves, what may not, and what two of them at once do."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import INDETERMINATE, LOW, MONDAY, SEVERE

from dermtriage.cases.transitions import TriageCause, place_case
from dermtriage.core.enums import CaseState, ImageType, Outcome, Priority, Scoring, Severity
from dermtriage.core.errors import Conflict, RequestRejected, Unavailable
from dermtriage.core.ids import new_id
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.intake.receipts import Receipt
from dermtriage.models import (
    Assessment,
    AuditEntry,
    Case,
    Clinic,
    Clinician,
    Decision,
    Image,
    PendingImage,
    PolicyVersion,
    TriageEvent,
)
from dermtriage.operations.invariants import check_invariants
from dermtriage.releases.activation import activate_release, add_release
from dermtriage.releases.queries import active_policy, active_release, policy_of_release
from dermtriage.retriage import bulk_io
from dermtriage.retriage.service import (
    Adopted,
    Batch,
    Tally,
    adopt_policy,
    count_cases,
    preview,
    retriage_cases,
)
from dermtriage.scoring import assessments
from dermtriage.triage.case_severity import ImageStatus, case_severity, more_urgent, open_severity
from dermtriage.triage.due_times import due_after
from dermtriage.triage.image_severity import Finding, triage_image
from dermtriage.triage.lanes import aged_lane, base_lane

TUESDAY, WEDNESDAY, FRIDAY = (MONDAY + timedelta(days=days) for days in (1, 2, 4))
NEXT_MONDAY = MONDAY + timedelta(days=7)

STRICTER = {"lower": 0.05, "upper": 0.35}
"""Under it LOW is indeterminate and INDETERMINATE severe."""

LAXER = {"lower": 0.5, "upper": 0.95}
"""Under it INDETERMINATE is low and SEVERE indeterminate."""

LEAVE: dict[str, Any] = {"allow_down": True, "reason": "too many alarms"}


def adopt(session: Session, changes: Mapping[str, Any], **asked: Any) -> Adopted:
    words = {"actor": "m.okafor", "reason": None, "allow_down": False, "now": MONDAY}
    return adopt_policy(session, changes, **words | asked)


def apply(
    session: Session,
    changes: Mapping[str, Any],
    *,
    now: datetime = MONDAY,
    limit: int = 2,
    **asked: Any,
) -> Tally:
    """Adopt a policy and triage everything again, in one transaction."""
    adopted = adopt(session, changes, now=now, **asked)
    tally, last = Tally(), None
    while True:
        batch = retriage_cases(
            session,
            policy_id=adopted.policy_id,
            after=last,
            allow_down=asked.get("allow_down", False),
            now=now,
            limit=limit,
        )
        tally.add(batch.tally)
        if batch.last is None:
            return tally
        last = batch.last


def scored(
    session: Session, clinic_id: UUID, *scores: float, images: int = 0, **fields: Any
) -> Receipt:
    receipt = factories.receive(session, clinic_id, images=images or len(scores), **fields)
    for image_id, p_severe in zip(receipt.pending_image_ids, scores, strict=False):
        factories.score(session, image_id, p_severe)
    session.flush()
    return receipt


def stands(session: Session, receipt: Receipt) -> tuple[Severity, Severity, int, datetime]:
    case = factories.case(session, receipt)
    return case.severity, case.latest_severity, case.lane, case.due_at


def last_event(session: Session, receipt: Receipt) -> TriageEvent:
    return factories.events(session, receipt)[-1]


def change(event: TriageEvent) -> tuple[str, str | None, str, int | None, int]:
    return event.kind, event.from_severity, event.to_severity, event.from_lane, event.to_lane


def moved(tally: Tally) -> dict[tuple[str, str], int]:
    """Return the part of the matrix beside its diagonal."""
    return {pair: count for pair, count in tally.transitions.items() if pair[0] != pair[1]}


def standing(session: Session) -> list[tuple[Any, ...]]:
    """Return all that a policy could change."""
    cases = select(*Case.__table__.c).order_by(Case.id)
    events = select(*TriageEvent.__table__.c).order_by(TriageEvent.id)
    policies = select(*PolicyVersion.__table__.c).order_by(PolicyVersion.id)
    return [tuple(row) for query in (cases, events, policies) for row in session.execute(query)]


# Up


def test_lower_thresholds_raise_open_cases(session: Session, clinic_id: UUID) -> None:
    rising, rested = scored(session, clinic_id, LOW), scored(session, clinic_id, SEVERE)
    pair = scored(session, clinic_id, LOW, INDETERMINATE)
    before_id, _ = active_policy(session)
    tally = apply(session, STRICTER, now=TUESDAY)

    policy_id, policy = active_policy(session)
    assert (policy.lower, policy.upper) == (0.05, 0.35)
    assert policy_id > before_id
    assert stands(session, rising) == (
        Severity.INDETERMINATE,
        Severity.INDETERMINATE,
        2,
        TUESDAY + timedelta(days=2),
    )
    assert stands(session, pair) == (Severity.SEVERE, Severity.SEVERE, 0, WEDNESDAY)
    assert factories.case(session, pair).triage_version == 1
    assert [factories.image(session, i).severity for i in pair.pending_image_ids] == [
        Severity.INDETERMINATE,
        Severity.SEVERE,
    ]
    event = last_event(session, pair)
    assert change(event) == ("upgraded", "indeterminate", "severe", 2, 0)
    assert (event.policy_id, event.release_id) == (policy_id, active_release(session).id)
    assert event.image_ids == [str(image_id) for image_id in pair.pending_image_ids]
    assert len(factories.events(session, rested)) == 2
    assert factories.case(session, rested).changed_at == MONDAY
    assert factories.case(session, pair).changed_at == MONDAY, "its due time stayed"
    assert factories.case(session, rising).changed_at == TUESDAY, "a clinic sees due times"

    assert (tally.cases, tally.changed, tally.recalled, tally.lowered) == (3, 2, 0, 0)
    assert moved(tally) == {("low", "indeterminate"): 1, ("indeterminate", "severe"): 1}
    assert tally.transitions[Severity.SEVERE, Severity.SEVERE] == 1
    assert check_invariants(session) == {}


def test_what_was_not_scored_stays_unscored(session: Session, clinic_id: UUID) -> None:
    waiting = scored(session, clinic_id, images=1)
    half = scored(session, clinic_id, INDETERMINATE, images=2)
    tally = apply(session, STRICTER)
    assert stands(session, waiting)[:3] == (Severity.UNSCORED, Severity.UNSCORED, 1)
    assert stands(session, half)[:3] == (Severity.SEVERE, Severity.SEVERE, 0)
    assert moved(tally) == {("unscored", "severe"): 1}


def test_shorter_intervals_raise_lanes_and_leave_due_times(
    session: Session, clinic_id: UUID
) -> None:
    receipt = scored(session, clinic_id, LOW)
    tally = apply(session, {"due_working_days": [1, 1, 1, 1]}, now=TUESDAY)
    assert stands(session, receipt) == (Severity.LOW, Severity.LOW, 2, NEXT_MONDAY)
    assert factories.case(session, receipt).ages_at == WEDNESDAY
    assert change(last_event(session, receipt)) == ("aged", "low", "low", 3, 2)
    assert (tally.changed, moved(tally)) == (1, {})


# Down


def test_a_policy_that_would_lower_open_cases_is_refused(session: Session, clinic_id: UUID) -> None:
    scored(session, clinic_id, INDETERMINATE)
    scored(session, clinic_id, SEVERE)
    scored(session, clinic_id, LOW)
    before = standing(session)
    with pytest.raises(Conflict) as refused:
        adopt(session, LAXER)
    assert "2 open cases" in refused.value.detail
    assert "--allow-down" in refused.value.remedy
    session.flush()
    assert standing(session) == before
    with pytest.raises(Conflict, match="1 open case;"):
        adopt(session, {"upper": 0.95})


@pytest.mark.parametrize("reason", [None, "", "  ", "x" * 501])
def test_leave_to_lower_needs_a_reason(session: Session, reason: str | None) -> None:
    before = active_policy(session)
    with pytest.raises(RequestRejected, match="reason"):
        adopt(session, LAXER, allow_down=True, reason=reason)
    assert active_policy(session) == before


def test_somebody_answers_for_a_policy(session: Session) -> None:
    with pytest.raises(RequestRejected, match="actor"):
        adopt(session, STRICTER, actor=" ")
    with pytest.raises(RequestRejected, match="reason"):
        adopt(session, STRICTER, reason=" ")
    before_id, _ = active_policy(session)
    made = adopt(session, STRICTER)
    assert session.get_one(PolicyVersion, made.policy_id).reason == "changed by m.okafor"
    session.flush()
    (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "policy.adopted"))
    assert entry.detail == {
        "by": "m.okafor",
        "policy_id": str(made.policy_id),
        "previous_policy_id": str(before_id),
        "allow_down": "False",
    }


def test_with_leave_open_cases_are_lowered(session: Session, clinic_id: UUID) -> None:
    low, middle = scored(session, clinic_id, INDETERMINATE), scored(session, clinic_id, SEVERE)
    asked = scored(session, clinic_id, SEVERE, priority="asap")
    tally = apply(session, LAXER, now=TUESDAY, **LEAVE)
    policy_id, _ = active_policy(session)
    assert session.get_one(PolicyVersion, policy_id).reason == LEAVE["reason"]

    assert stands(session, low) == (Severity.LOW, Severity.LOW, 3, NEXT_MONDAY)
    assert factories.case(session, low).ages_at == NEXT_MONDAY
    assert change(last_event(session, low)) == ("lowered", "indeterminate", "low", 2, 3)
    assert last_event(session, low).policy_id == policy_id
    assert stands(session, middle) == (
        Severity.INDETERMINATE,
        Severity.INDETERMINATE,
        2,
        WEDNESDAY,
    )
    # Nothing comes below what the referrer asked for.
    assert stands(session, asked)[2:] == (0, TUESDAY)
    assert change(last_event(session, asked)) == ("lowered", "severe", "indeterminate", 0, 0)
    assert factories.case(session, middle).triage_version == 1, "that counts rises alone"
    assert (tally.changed, tally.lowered) == (3, 3)
    assert check_invariants(session) == {}


def test_what_is_lowered_has_aged_all_the_same(session: Session, clinic_id: UUID) -> None:
    receipt = scored(session, clinic_id, SEVERE)
    apply(session, LAXER, now=WEDNESDAY, **LEAVE)
    assert stands(session, receipt)[:3] == (Severity.INDETERMINATE, Severity.INDETERMINATE, 1)


def test_what_is_lowered_is_not_due_earlier_than_it_was(session: Session, clinic_id: UUID) -> None:
    receipt = scored(session, clinic_id, LOW)
    apply(session, {"lower": 0.05, "upper": 0.08}, now=FRIDAY)
    assert stands(session, receipt)[2:] == (0, NEXT_MONDAY)
    apply(session, {"upper": 0.6}, now=FRIDAY, **LEAVE)
    # From receipt it would have been due on Wednesday.
    assert stands(session, receipt)[:2] == (Severity.INDETERMINATE, Severity.INDETERMINATE)
    assert stands(session, receipt)[3] == NEXT_MONDAY


def test_without_its_severe_image_a_case_is_unscored_again(
    session: Session, clinic_id: UUID
) -> None:
    receipt = scored(session, clinic_id, SEVERE, images=2)
    apply(session, LAXER, **LEAVE)
    assert stands(session, receipt) == (Severity.UNSCORED, Severity.UNSCORED, 1, WEDNESDAY)
    factories.score(session, receipt.pending_image_ids[1], LOW)
    assert stands(session, receipt)[0] is Severity.INDETERMINATE
    assert check_invariants(session) == {}


@pytest.mark.parametrize("asked", [{}, LEAVE])
def test_what_an_earlier_score_raised_stays(
    session: Session, clinic_id: UUID, asked: dict[str, Any]
) -> None:
    receipt = scored(session, clinic_id, SEVERE)
    again(session, receipt, INDETERMINATE)
    assert stands(session, receipt)[:2] == (Severity.SEVERE, Severity.INDETERMINATE)
    tally = apply(session, {"lower": 0.5}, **asked)
    assert stands(session, receipt) == (Severity.SEVERE, Severity.LOW, 0, TUESDAY)
    assert (tally.lowered, tally.changed) == (0, 0)


def test_longer_intervals_need_leave_where_a_lane_falls(session: Session, clinic_id: UUID) -> None:
    receipt = scored(session, clinic_id, LOW)
    apply(session, {}, now=NEXT_MONDAY)
    assert stands(session, receipt)[2:] == (2, NEXT_MONDAY)
    longer = {"due_working_days": [1, 2, 2, 9]}
    with pytest.raises(Conflict):
        adopt(session, longer, now=NEXT_MONDAY)
    tally = apply(session, longer, now=NEXT_MONDAY, **LEAVE)
    assert stands(session, receipt) == (Severity.LOW, Severity.LOW, 3, NEXT_MONDAY)
    assert change(last_event(session, receipt)) == ("lowered", "low", "low", 2, 3)
    assert (tally.lowered, moved(tally)) == (1, {})


# Cases that are not open


@pytest.mark.parametrize("outcome", [Outcome.REFER_ROUTINE, Outcome.RETAKE])
def test_a_decided_case_is_recalled_once(
    session: Session, clinic_id: UUID, clinician_id: UUID, outcome: Outcome
) -> None:
    receipt = scored(session, clinic_id, INDETERMINATE)
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
    assert change(event) == ("recalled", "indeterminate", "severe", 2, 0)
    assert event.image_ids == [str(receipt.pending_image_ids[0])]

    factories.decide(session, receipt.case_id, clinician_id, now=FRIDAY)
    apply(session, LAXER, now=FRIDAY)
    assert apply(session, STRICTER, now=FRIDAY).recalled == 0
    assert check_invariants(session) == {}


def test_a_case_that_was_referred_urgently_is_not_recalled(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = scored(session, clinic_id, INDETERMINATE)
    factories.decide(session, receipt.case_id, clinician_id, Outcome.REFER_URGENT)
    tally = apply(session, STRICTER)
    assert (tally.cases, tally.changed) == (1, 0)
    case = factories.case(session, receipt)
    assert (case.state, case.severity) == (CaseState.DECIDED, Severity.INDETERMINATE)
    assert (case.latest_severity, case.triage_version) == (Severity.SEVERE, 1)


def test_a_decided_case_needs_no_leave_to_be_judged_lower(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = scored(session, clinic_id, SEVERE)
    factories.decide(session, receipt.case_id, clinician_id)
    assert apply(session, LAXER).changed == 0
    assert stands(session, receipt)[:2] == (Severity.SEVERE, Severity.INDETERMINATE)


def test_a_withdrawn_case_is_left_alone(session: Session, clinic_id: UUID) -> None:
    receipt = scored(session, clinic_id, INDETERMINATE)
    session.execute(update(Case).values(state=CaseState.WITHDRAWN))
    assert count_cases(session) == 0
    assert apply(session, STRICTER) == Tally()
    assert stands(session, receipt)[:2] == (Severity.INDETERMINATE, Severity.INDETERMINATE)
    (image_id,) = receipt.pending_image_ids
    assert factories.image(session, image_id).severity is Severity.INDETERMINATE


# Releases


def follow(session: Session, name: str = "next", **thresholds: float) -> None:
    """Let another release triage."""
    proposed = {"lower": 0.3, "upper": 0.6, "disagreement": 0.5, "out_of_scope": None}
    add_release(
        session, name=name, manifest={"thresholds": proposed | thresholds}, sha256=bytes(32)
    )
    activate_release(
        session, name=name, minimum_sensitivity=0, actor="m.okafor", override_reason="test"
    )
    session.flush()


def again(session: Session, receipt: Receipt, p_severe: float) -> None:
    """Score the first image once more, with a release that takes the place of the active one."""
    follow(session)
    image = factories.image(session, receipt.pending_image_ids[0])
    image.scoring, image.severity = Scoring.PENDING, None
    session.add(
        PendingImage(image_id=image.id, case_id=image.case_id, priority_rank=0, due_at=MONDAY)
    )
    session.flush()
    factories.score(session, image.id, p_severe)
    session.flush()


def test_scores_of_a_replaced_release_keep_its_thresholds(
    session: Session, clinic_id: UUID
) -> None:
    old = scored(session, clinic_id, INDETERMINATE, priority="routine")
    follow(session)
    new = scored(session, clinic_id, INDETERMINATE)
    both = STRICTER | {"due_working_days": [1, 1, 1, 1]}
    apply(session, both, now=TUESDAY)
    # What is not a threshold is the new policy's for all.
    assert stands(session, old)[:3] == (Severity.INDETERMINATE, Severity.INDETERMINATE, 1)
    assert stands(session, new)[:3] == (Severity.SEVERE, Severity.SEVERE, 0)


# Twice, interrupted, and at the same moment


def test_a_preview_changes_nothing_and_is_right(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    for p_severe in (LOW, INDETERMINATE, INDETERMINATE, SEVERE):
        scored(session, clinic_id, p_severe)
    factories.decide(session, scored(session, clinic_id, INDETERMINATE).case_id, clinician_id)
    session.flush()
    before = standing(session)
    seen: list[Tally] = []
    up = preview(session, STRICTER, now=MONDAY, seen=seen.append)
    assert seen == [up]
    down = preview(session, LAXER, now=MONDAY)
    assert standing(session) == before
    assert (down.lowered, down.cases) == (3, 5)
    assert apply(session, LAXER, **LEAVE) == down
    apply(session, {"lower": 0.3, "upper": 0.6})
    assert apply(session, STRICTER) == up


def test_an_interrupted_change_is_taken_up_again(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        cases = [scored(session, clinic_id, p) for p in (SEVERE, LOW, INDETERMINATE, SEVERE, LOW)]
    with sessions.begin() as session:
        adopted = adopt(session, LAXER, **LEAVE)
        before = standing(session)
    assert adopted.new

    def batch(session: Session, after: UUID | None) -> Batch:
        return retriage_cases(
            session,
            policy_id=adopted.policy_id,
            after=after,
            allow_down=True,
            now=MONDAY,
            limit=2,
        )

    with sessions.begin() as session:
        first = batch(session, None)
    assert (first.tally.cases, first.tally.lowered, first.last) == (2, 1, cases[1].case_id)

    def killed() -> None:
        with sessions.begin() as session:
            assert batch(session, first.last).tally.lowered == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    with sessions() as session:
        now = standing(session)
        assert len(now) == len(before) + 1, "one event, and no second version"
        assert [stands(session, case)[0] for case in cases[1:4]] == [
            Severity.LOW,
            Severity.INDETERMINATE,
            Severity.SEVERE,
        ]

    with sessions.begin() as session:
        assert adopt(session, LAXER, **LEAVE) == Adopted(adopted.policy_id, new=False)
        rest = apply(session, LAXER, **LEAVE)
    assert (rest.cases, rest.changed, rest.lowered) == (5, 2, 2)
    with sessions.begin() as session:
        done = standing(session)
        assert apply(session, LAXER, **LEAVE).changed == 0
        assert apply(session, LAXER).changed == 0
        assert standing(session) == done
        assert check_invariants(session) == {}


def test_the_same_policy_for_another_reason_is_another_version(session: Session) -> None:
    first = adopt(session, LAXER)
    assert not adopt(session, LAXER).new
    assert not adopt(session, {}).new
    second = adopt(session, LAXER, **LEAVE)
    assert second.policy_id > first.policy_id
    assert active_policy(session)[0] == second.policy_id
    assert not adopt(session, {}, **LEAVE).new


def test_policies_that_are_adopted_at_once_follow_one_another(
    sessions: sessionmaker[Session],
) -> None:
    def run(changes: Mapping[str, Any]) -> None:
        with sessions.begin() as session:
            adopt(session, changes)

    changes: Sequence[Mapping[str, Any]] = ({"lower": 0.2}, {"upper": 0.7}, {"disagreement": 0.1})
    factories.together([partial(run, one) for one in changes])
    with sessions() as session:
        _, policy = active_policy(session)
        assert (policy.lower, policy.upper, policy.disagreement) == (0.2, 0.7, 0.1)
        assert session.scalar(select(func.count()).select_from(PolicyVersion)) == 4


def test_batches_end_when_another_policy_takes_over(session: Session, clinic_id: UUID) -> None:
    receipt = scored(session, clinic_id, INDETERMINATE)
    adopted = adopt(session, STRICTER)
    follow(session)
    before = stands(session, receipt)
    with pytest.raises(Conflict) as refused:
        retriage_cases(
            session, policy_id=adopted.policy_id, after=None, allow_down=False, now=MONDAY
        )
    assert refused.value.code == "policy_replaced"
    assert stands(session, receipt) == before


def test_a_score_under_way_is_waited_for_and_not_lowered_without_leave(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    """It was not there when the policy was checked, and has been judged by the one before."""
    with sessions.begin() as session:
        high, middle = (factories.receive(session, clinic_id) for _ in range(2))
        leases = [factories.lease(session, r.pending_image_ids[0]) for r in (high, middle)]

    def run(policy_id: int) -> Tally:
        with sessions.begin() as session:
            return retriage_cases(
                session, policy_id=policy_id, after=None, allow_down=False, now=MONDAY
            ).tally

    with ThreadPoolExecutor(1) as pool:
        with sessions.begin() as scoring:
            said = (SEVERE, INDETERMINATE)
            results = [factories.result(taken, p) for taken, p in zip(leases, said, strict=True)]
            factories.record(scoring, results)
            with sessions.begin() as session:
                adopted = adopt(session, {"upper": 0.95})
            batch = pool.submit(run, adopted.policy_id)
            with sessions() as watcher:
                while not factories.blocked(watcher) and not batch.done():
                    watcher.rollback()
        tally = batch.result(20)
    assert (tally.changed, tally.lowered) == (0, 0)
    with sessions() as session:
        assert stands(session, high)[:3] == (Severity.SEVERE, Severity.INDETERMINATE, 0)
        assert stands(session, middle)[:3] == (Severity.INDETERMINATE, Severity.INDETERMINATE, 2)
        assert check_invariants(session) == {}


def test_a_connection_that_is_lost_while_rows_are_copied_is_an_outage(
    sessions: sessionmaker[Session], janitor: psycopg.Connection
) -> None:
    def copy_and_lose(session: Session) -> None:
        pid = session.scalar(select(func.pg_backend_pid()))
        session.execute(text("CREATE TEMPORARY TABLE lost (n int)"))

        def rows() -> Iterator[list[int]]:
            yield [1]
            janitor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            yield [2]

        with pytest.raises(Unavailable):
            bulk_io._copy(session, "lost", ["n"], rows())

    def run() -> None:
        with outage_as_unavailable(), sessions() as session:
            copy_and_lose(session)

    # Its transaction cannot even be rolled back.
    with pytest.raises(Unavailable):
        run()


# Whatever the cases, whatever the policy

shares = st.integers(0, 20).map(lambda twentieth: twentieth / 20)
"""As coarse as this, scores meet thresholds, and their stored digits are all of theirs."""

drawn_images = st.fixed_dictionaries(
    {
        "scoring": st.sampled_from([*[Scoring.SCORED] * 4, Scoring.PENDING, Scoring.FAILED]),
        "finding": st.builds(Finding, shares, shares, st.none() | shares),
        "by_old_release": st.booleans(),
    }
)
drawn_cases = st.fixed_dictionaries(
    {
        "images": st.lists(drawn_images, min_size=1, max_size=3),
        "earlier": st.sampled_from([None, None, *Severity]),
        "priority": st.sampled_from(Priority),
        "age": st.floats(0, 12),
        "outcome": st.sampled_from([None, None, None, *Outcome]),
        "withdrawn": st.sampled_from([False, False, False, True]),
        "seen": st.sampled_from(Severity),
        "recalled": st.booleans(),
    }
)


@st.composite
def policy_changes(draw: st.DrawFn) -> dict[str, Any]:
    lower, upper = sorted((draw(shares), draw(shares)))
    changes: dict[str, Any] = {"lower": lower, "upper": upper}
    if draw(st.booleans()):
        changes["disagreement"] = draw(shares)
    if draw(st.booleans()):
        changes["out_of_scope"] = draw(st.none() | shares)
    if draw(st.booleans()):
        days = draw(st.lists(st.integers(1, 8), min_size=4, max_size=4))
        changes["due_working_days"] = sorted(days)
    if draw(st.booleans()):
        changes["workdays"] = sorted(draw(st.sets(st.integers(0, 6), min_size=1)))
    return changes


def build(session: Session, drawn: Mapping[str, Any], old_release_id: int) -> UUID:
    """Add a case as the policies in force have placed it."""
    policy_id, policy = active_policy(session)
    case_id, received_at = new_id(), NEXT_MONDAY - timedelta(days=drawn["age"])
    images, statuses = [], []
    for position, one in enumerate(drawn["images"]):
        release_id = old_release_id if one["by_old_release"] else active_release(session).id
        scored = one["scoring"] is Scoring.SCORED
        own = policy_of_release(session, release_id)[1]
        severity = triage_image(one["finding"], own).severity if scored else None
        statuses.append(ImageStatus(one["scoring"], severity))
        image = Image(
            id=new_id(),
            case_id=case_id,
            position=position,
            image_type=ImageType.DERMOSCOPIC,
            media_type="image/jpeg",
            sha256=bytes(32),
            byte_size=1,
            width=1,
            height=1,
            scoring=one["scoring"],
            severity=severity,
            release_id=release_id if scored else None,
        )
        images.append(image)
    latest = case_severity(statuses)
    severity = open_severity(drawn["earlier"] or latest, latest)
    base = base_lane(severity, drawn["priority"])
    aged = aged_lane(received_at, NEXT_MONDAY, base, policy)
    outcome = drawn["outcome"]
    state = CaseState.OPEN
    if outcome is not None:
        state = CaseState.AWAITING_RETAKE if outcome is Outcome.RETAKE else CaseState.DECIDED
    elif drawn["withdrawn"]:
        state = CaseState.WITHDRAWN
    session.add(
        Case(
            id=case_id,
            clinic_id=session.scalars(select(Clinic.id)).first(),
            received_at=received_at,
            priority=drawn["priority"],
            state=state,
            severity=severity,
            latest_severity=latest,
            lane=aged.lane,
            due_at=due_after(received_at, base, drawn["priority"], policy),
            ages_at=aged.next_at,
            changed_at=received_at,
        )
    )
    session.flush()
    session.add_all(images)
    session.flush()
    for image, one in zip(images, drawn["images"], strict=True):
        if image.scoring is Scoring.PENDING:
            session.add(
                PendingImage(
                    image_id=image.id, case_id=case_id, priority_rank=3, due_at=NEXT_MONDAY
                )
            )
        elif image.scoring is Scoring.SCORED:
            finding = one["finding"]
            session.add(
                Assessment(
                    release_id=image.release_id,
                    image_id=image.id,
                    p_severe=finding.p_severe,
                    probabilities=[0.0] * 7,
                    disagreement=finding.disagreement,
                    out_of_scope=finding.out_of_scope,
                    members={},
                    quality={},
                    inputs={},
                    device="cpu",
                )
            )
    if outcome is not None:
        session.add(
            Decision(
                case_id=case_id,
                clinician_id=session.scalars(select(Clinician.id)).first(),
                outcome=outcome,
                severity_at_decision=drawn["seen"],
                triage_version=0,
                claim_token=1,
                recalled_at=received_at if drawn["recalled"] else None,
            )
        )
    session.add(
        TriageEvent(
            case_id=case_id,
            kind="received",
            to_severity=severity,
            to_lane=aged.lane,
            to_state=state,
            policy_id=policy_id,
        )
    )
    session.flush()
    return case_id


def one_by_one(session: Session, changes: Mapping[str, Any]) -> None:
    """Do the same without bulk: each case by itself, as if its images had just been scored."""
    policy_id = adopt(session, changes, now=NEXT_MONDAY, **LEAVE).policy_id
    _, policy = active_policy(session)
    living = select(Case).where(Case.state != CaseState.WITHDRAWN).order_by(Case.id)
    for case in session.scalars(living):
        judged = []
        for image in case.images:
            stored = assessments.current_assessments(session, [image.id]).get(image.id)
            if stored is None:
                continue
            own = policy_of_release(session, stored.release_id)[1]
            severity = triage_image(assessments.finding(stored), own).severity
            if severity is not image.severity:
                image.severity = severity
                judged.append(image)
        release_id = judged[0].release_id if judged else None
        cause = TriageCause(policy_id, release_id, [image.id for image in judged])
        place_case(session, case, cause, policy, NEXT_MONDAY)
    session.flush()
    session.expire_all()


def outcome_of(session: Session, *, without: Collection[UUID]) -> dict[UUID, list[Any]]:
    """Return by case where it and its images stand, and its events."""
    return {
        case.id: [
            (case.state, case.severity, case.latest_severity, case.lane, case.due_at),
            (case.ages_at, case.triage_version, case.recalled_at),
            [image.severity for image in case.images],
            [decision.recalled_at for decision in decisions_of(session, case)],
            [
                (*change(event), event.from_state, event.to_state, event.image_ids)
                for event in events_of(session, case)
            ],
        ]
        for case in session.scalars(select(Case).order_by(Case.id))
        if case.id not in without
    }


def decisions_of(session: Session, case: Case) -> Sequence[Decision]:
    return session.scalars(select(Decision).where(Decision.case_id == case.id)).all()


def events_of(session: Session, case: Case) -> Sequence[TriageEvent]:
    of_case = select(TriageEvent).where(TriageEvent.case_id == case.id)
    return session.scalars(of_case.order_by(TriageEvent.id)).all()


@contextmanager
def undone(session: Session) -> Iterator[None]:
    """Undo at the end what is done within."""
    savepoint = session.begin_nested()
    try:
        yield
    finally:
        savepoint.rollback()
        session.expire_all()


Stood = Mapping[UUID, tuple[Severity, Severity, int, datetime]]


def check_without_leave(
    session: Session, changes: Mapping[str, Any], foreseen: Tally, stood: Stood
) -> None:
    """What is refused changes nothing; what is not lowers nothing."""
    if foreseen.lowered:
        before = standing(session)
        with pytest.raises(Conflict, match=f" {foreseen.lowered} open "):
            adopt(session, changes, now=NEXT_MONDAY)
        assert standing(session) == before
        return
    assert apply(session, changes, now=NEXT_MONDAY) == foreseen
    for case in session.scalars(select(Case).where(Case.state == CaseState.OPEN)):
        severity, _, lane, due_at = stood[case.id]
        assert not more_urgent(severity, case.severity)
        assert case.lane <= lane
        assert case.due_at <= due_at


def check_lowered(session: Session, stood: Stood) -> set[UUID]:
    """Nothing is lowered but what the policy lowers. Returns what was."""
    events = select(TriageEvent.case_id).where(TriageEvent.kind == "lowered")
    lowered = set(session.scalars(events))
    for case_id in lowered:
        case = session.get_one(Case, case_id)
        severity, latest, lane, due_at = stood[case_id]
        assert case.state is CaseState.OPEN
        if more_urgent(severity, case.severity):
            assert severity is latest, "an earlier score had raised it"
            assert case.severity is case.latest_severity
            assert case.due_at >= due_at
        else:
            assert case.lane > lane
    return lowered


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(drawn_cases, min_size=1, max_size=5), policy_changes())
def test_what_holds_of_every_policy(
    session: Session,
    clinic_id: UUID,
    clinician_id: UUID,
    drawn: list[dict[str, Any]],
    changes: dict[str, Any],
) -> None:
    with undone(session):
        old_release_id = active_release(session).id
        follow(session, lower=0.25, upper=0.7)
        for one in drawn:
            build(session, one, old_release_id)
        assert check_invariants(session) == {}, "the cases are such as can be"
        stood = {
            case.id: (case.severity, case.latest_severity, case.lane, case.due_at)
            for case in session.scalars(select(Case))
        }
        foreseen = preview(session, changes, now=NEXT_MONDAY)
        session.expire_all()
        with undone(session):
            check_without_leave(session, changes, foreseen, stood)

        with undone(session):
            assert apply(session, changes, now=NEXT_MONDAY, **LEAVE) == foreseen
            session.expire_all()
            assert check_invariants(session) == {}
            lowered = check_lowered(session, stood)
            assert len(lowered) == foreseen.lowered
            in_bulk = outcome_of(session, without=lowered)
            # The same again finds nothing to do.
            done = standing(session)
            repeated = apply(session, changes, now=NEXT_MONDAY, limit=1, **LEAVE)
            assert (repeated.changed, repeated.cases) == (0, foreseen.cases)
            assert standing(session) == done

        with undone(session):
            one_by_one(session, changes)
            assert outcome_of(session, without=lowered) == in_bulk

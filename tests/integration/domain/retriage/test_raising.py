"""A changed policy raises open cases, and uses the thresholds of the right release."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session
from tests import factories
from tests.factories import (
    INDETERMINATE,
    LOW,
    MONDAY,
    NEXT_MONDAY,
    SEVERE,
    TUESDAY,
    WEDNESDAY,
    change_of,
)
from tests.policies import (
    STRICTER,
    apply,
    changed_severities,
    last_event,
    placement_of,
    replace_release,
    scored_case,
)

from dermtriage.core.enums import Severity
from dermtriage.operations.invariants import check_invariants
from dermtriage.releases.queries import active_policy, active_release


def test_lower_thresholds_raise_open_cases(session: Session, clinic_id: UUID) -> None:
    rising, rested = scored_case(session, clinic_id, LOW), scored_case(session, clinic_id, SEVERE)
    pair = scored_case(session, clinic_id, LOW, INDETERMINATE)
    before_id, _ = active_policy(session)
    tally = apply(session, STRICTER, now=TUESDAY)

    policy_id, policy = active_policy(session)
    assert (policy.lower, policy.upper) == (0.05, 0.35)
    assert policy_id > before_id
    assert placement_of(session, rising) == (
        Severity.INDETERMINATE,
        Severity.INDETERMINATE,
        2,
        TUESDAY + timedelta(days=2),
    )
    assert placement_of(session, pair) == (Severity.SEVERE, Severity.SEVERE, 0, WEDNESDAY)
    assert factories.case(session, pair).triage_version == 1
    assert [factories.image(session, i).severity for i in pair.pending_image_ids] == [
        Severity.INDETERMINATE,
        Severity.SEVERE,
    ]
    event = last_event(session, pair)
    assert change_of(event) == ("upgraded", "indeterminate", "severe", 2, 0)
    assert (event.policy_id, event.release_id) == (policy_id, active_release(session).id)
    assert event.image_ids == [str(image_id) for image_id in pair.pending_image_ids]
    assert len(factories.events(session, rested)) == 2
    assert factories.case(session, rested).changed_at == MONDAY
    assert factories.case(session, pair).changed_at == MONDAY, "its due time stayed"
    assert factories.case(session, rising).changed_at == TUESDAY, "a clinic sees due times"

    assert (tally.cases, tally.changed, tally.recalled, tally.lowered) == (3, 2, 0, 0)
    assert changed_severities(tally) == {
        ("low", "indeterminate"): 1,
        ("indeterminate", "severe"): 1,
    }
    assert tally.transitions[Severity.SEVERE, Severity.SEVERE] == 1
    assert check_invariants(session) == {}


def test_what_was_not_scored_stays_unscored(session: Session, clinic_id: UUID) -> None:
    waiting = scored_case(session, clinic_id, images=1)
    half = scored_case(session, clinic_id, INDETERMINATE, images=2)
    tally = apply(session, STRICTER)
    assert placement_of(session, waiting)[:3] == (Severity.UNSCORED, Severity.UNSCORED, 1)
    assert placement_of(session, half)[:3] == (Severity.SEVERE, Severity.SEVERE, 0)
    assert changed_severities(tally) == {("unscored", "severe"): 1}


def test_shorter_intervals_raise_lanes_and_leave_due_times(
    session: Session, clinic_id: UUID
) -> None:
    receipt = scored_case(session, clinic_id, LOW)
    tally = apply(session, {"due_working_days": [1, 1, 1, 1]}, now=TUESDAY)
    assert placement_of(session, receipt) == (Severity.LOW, Severity.LOW, 2, NEXT_MONDAY)
    assert factories.case(session, receipt).ages_at == WEDNESDAY
    assert change_of(last_event(session, receipt)) == ("aged", "low", "low", 3, 2)
    assert (tally.changed, changed_severities(tally)) == (1, {})


def test_scores_of_a_replaced_release_keep_its_thresholds(
    session: Session, clinic_id: UUID
) -> None:
    old = scored_case(session, clinic_id, INDETERMINATE, priority="routine")
    replace_release(session)
    new = scored_case(session, clinic_id, INDETERMINATE)
    both = STRICTER | {"due_working_days": [1, 1, 1, 1]}
    apply(session, both, now=TUESDAY)
    # What is not a threshold is the new policy's for all.
    assert placement_of(session, old)[:3] == (Severity.INDETERMINATE, Severity.INDETERMINATE, 1)
    assert placement_of(session, new)[:3] == (Severity.SEVERE, Severity.SEVERE, 0)

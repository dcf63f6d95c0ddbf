"""A changed policy lowers open cases only with permission."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import (
    FRIDAY,
    INDETERMINATE,
    LOW,
    NEXT_MONDAY,
    SEVERE,
    TUESDAY,
    WEDNESDAY,
    change_of,
)
from tests.policies import (
    LAXER,
    PERMISSION,
    adopt,
    apply,
    changed_severities,
    last_event,
    placement_of,
    rescore,
    scored_case,
)

from dermtriage.core.enums import Severity
from dermtriage.core.errors import Conflict
from dermtriage.models import (
    PolicyVersion,
)
from dermtriage.operations.invariants import check_invariants
from dermtriage.releases.queries import active_policy


def test_with_permission_open_cases_are_lowered(session: Session, clinic_id: UUID) -> None:
    low, middle = (
        scored_case(session, clinic_id, INDETERMINATE),
        scored_case(session, clinic_id, SEVERE),
    )
    requested = scored_case(session, clinic_id, SEVERE, priority="asap")
    tally = apply(session, LAXER, now=TUESDAY, **PERMISSION)
    policy_id, _ = active_policy(session)
    assert session.get_one(PolicyVersion, policy_id).reason == PERMISSION["reason"]

    assert placement_of(session, low) == (Severity.LOW, Severity.LOW, 3, NEXT_MONDAY)
    assert factories.case(session, low).ages_at == NEXT_MONDAY
    assert change_of(last_event(session, low)) == ("lowered", "indeterminate", "low", 2, 3)
    assert last_event(session, low).policy_id == policy_id
    assert placement_of(session, middle) == (
        Severity.INDETERMINATE,
        Severity.INDETERMINATE,
        2,
        WEDNESDAY,
    )
    # No case falls below the referrer's priority.
    assert placement_of(session, requested)[2:] == (0, TUESDAY)
    assert change_of(last_event(session, requested)) == ("lowered", "severe", "indeterminate", 0, 0)
    assert factories.case(session, middle).triage_version == 1, "that counts rises alone"
    assert (tally.changed, tally.lowered) == (3, 3)
    assert check_invariants(session) == {}


def test_a_lowered_case_keeps_its_age(session: Session, clinic_id: UUID) -> None:
    receipt = scored_case(session, clinic_id, SEVERE)
    apply(session, LAXER, now=WEDNESDAY, **PERMISSION)
    assert placement_of(session, receipt)[:3] == (Severity.INDETERMINATE, Severity.INDETERMINATE, 1)


def test_a_lowered_case_is_not_due_earlier_than_before(session: Session, clinic_id: UUID) -> None:
    receipt = scored_case(session, clinic_id, LOW)
    apply(session, {"lower": 0.05, "upper": 0.08}, now=FRIDAY)
    assert placement_of(session, receipt)[2:] == (0, NEXT_MONDAY)
    apply(session, {"upper": 0.6}, now=FRIDAY, **PERMISSION)
    # From receipt it would have been due on Wednesday.
    assert placement_of(session, receipt)[:2] == (Severity.INDETERMINATE, Severity.INDETERMINATE)
    assert placement_of(session, receipt)[3] == NEXT_MONDAY


def test_without_its_severe_image_a_case_is_unscored_again(
    session: Session, clinic_id: UUID
) -> None:
    receipt = scored_case(session, clinic_id, SEVERE, images=2)
    apply(session, LAXER, **PERMISSION)
    assert placement_of(session, receipt) == (Severity.UNSCORED, Severity.UNSCORED, 1, WEDNESDAY)
    factories.score(session, receipt.pending_image_ids[1], LOW)
    assert placement_of(session, receipt)[0] is Severity.INDETERMINATE
    assert check_invariants(session) == {}


@pytest.mark.parametrize("options", [{}, PERMISSION])
def test_a_case_that_an_earlier_score_raised_stays(
    session: Session, clinic_id: UUID, options: dict[str, Any]
) -> None:
    receipt = scored_case(session, clinic_id, SEVERE)
    rescore(session, receipt, INDETERMINATE)
    assert placement_of(session, receipt)[:2] == (Severity.SEVERE, Severity.INDETERMINATE)
    tally = apply(session, {"lower": 0.5}, **options)
    assert placement_of(session, receipt) == (Severity.SEVERE, Severity.LOW, 0, TUESDAY)
    assert (tally.lowered, tally.changed) == (0, 0)


def test_longer_intervals_need_permission_where_a_lane_falls(
    session: Session, clinic_id: UUID
) -> None:
    receipt = scored_case(session, clinic_id, LOW)
    apply(session, {}, now=NEXT_MONDAY)
    assert placement_of(session, receipt)[2:] == (2, NEXT_MONDAY)
    longer = {"due_working_days": [1, 2, 2, 9]}
    with pytest.raises(Conflict):
        adopt(session, longer, now=NEXT_MONDAY)
    tally = apply(session, longer, now=NEXT_MONDAY, **PERMISSION)
    assert placement_of(session, receipt) == (Severity.LOW, Severity.LOW, 3, NEXT_MONDAY)
    assert change_of(last_event(session, receipt)) == ("lowered", "low", "low", 2, 3)
    assert (tally.lowered, changed_severities(tally)) == (1, {})

"""Lanes by severity, priority and age."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.triage_strategies import POLICY, moments, policies, priorities, severities

from dermtriage.core.enums import (
    PRIORITY_LANE,
    SEVERITY_LANE,
    Lane,
    Priority,
    Severity,
)
from dermtriage.triage.lanes import aged_lane, base_lane, retake_priority
from dermtriage.triage.policy import Policy


@pytest.mark.parametrize(
    ("severity", "priority", "lane"),
    [
        (Severity.SEVERE, Priority.ROUTINE, 0),
        (Severity.LOW, Priority.STAT, 0),
        (Severity.LOW, Priority.ASAP, 0),
        (Severity.UNSCORED, Priority.STAT, 0),
        (Severity.UNSCORED, Priority.ROUTINE, 1),
        (Severity.UNSCORED, Priority.URGENT, 1),
        (Severity.INDETERMINATE, Priority.ROUTINE, 2),
        (Severity.LOW, Priority.URGENT, 2),
        (Severity.LOW, Priority.ROUTINE, 3),
    ],
)
def test_lanes(severity: Severity, priority: Priority, lane: int) -> None:
    assert base_lane(severity, priority) == lane


@given(severities, priorities)
def test_neither_triage_nor_the_referrer_is_ever_lowered(
    severity: Severity, priority: Priority
) -> None:
    lane = base_lane(severity, priority)
    assert lane <= SEVERITY_LANE[severity]
    assert lane <= PRIORITY_LANE[priority]
    assert lane in {SEVERITY_LANE[severity], PRIORITY_LANE[priority]}


@given(st.sampled_from(Lane), moments, st.timedeltas(timedelta(), timedelta(days=60)), policies())
def test_waiting_raises_a_lane_and_never_above_lane_1(
    base: Lane, received_at: datetime, waited: timedelta, policy: Policy
) -> None:
    now = received_at + waited
    aged = aged_lane(received_at, now, base, policy)
    assert aged.lane <= base
    assert aged.lane >= min(base, Lane.UNSCORED)
    earlier = aged_lane(received_at, received_at + waited / 2, base, policy)
    assert aged.lane <= earlier.lane
    if aged.next_at is not None:
        assert aged.next_at > now
        assert aged_lane(received_at, aged.next_at, base, policy).lane == aged.lane - 1
        just_before = aged.next_at - timedelta(microseconds=1)
        assert aged_lane(received_at, just_before, base, policy).lane == aged.lane


@given(st.sampled_from(Lane), st.sampled_from(Lane), moments, moments, policies())
def test_the_more_urgent_of_two_cases_stays_ahead_as_both_age(
    one: Lane, other: Lane, received_at: datetime, now: datetime, policy: Policy
) -> None:
    assume(now >= received_at and now - received_at < timedelta(days=90))
    first, second = sorted((one, other))
    assert (
        aged_lane(received_at, now, first, policy).lane
        <= aged_lane(received_at, now, second, policy).lane
    )


def test_a_low_case_ages_after_five_working_days_and_again_after_two() -> None:
    monday = datetime(2026, 3, 2, 9, tzinfo=UTC)
    fresh = aged_lane(monday, monday, Lane.LOW, POLICY)
    assert (fresh.lane, fresh.next_at) == (Lane.LOW, datetime(2026, 3, 9, 9, tzinfo=UTC))
    once = aged_lane(monday, datetime(2026, 3, 9, 9, tzinfo=UTC), Lane.LOW, POLICY)
    assert (once.lane, once.next_at) == (Lane.INDETERMINATE, datetime(2026, 3, 11, 9, tzinfo=UTC))
    twice = aged_lane(monday, datetime(2026, 3, 11, 9, tzinfo=UTC), Lane.LOW, POLICY)
    assert (twice.lane, twice.next_at) == (Lane.UNSCORED, None)


@given(st.sampled_from(Priority), st.sampled_from(Priority), st.sampled_from(Severity))
def test_a_retake_is_never_less_urgent_than_the_case_it_replaces(
    requested: Priority, replaced: Priority, severity: Severity
) -> None:
    priority = retake_priority(requested, replaced, severity)
    order = list(Priority)
    assert order.index(priority) <= min(order.index(requested), order.index(replaced))
    if severity is not Severity.UNSCORED:
        assert base_lane(Severity.LOW, priority) <= base_lane(severity, replaced)

"""The policy of triage, against the words of the design rather than the code."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from dermtriage.cases.placement import Placement, place_again, place_new
from dermtriage.core.enums import (
    PRIORITY_LANE,
    SEVERITY_LANE,
    Lane,
    Outcome,
    Priority,
    Scoring,
    Severity,
)
from dermtriage.triage.case_severity import ImageStatus, case_severity, more_urgent, open_severity
from dermtriage.triage.due_times import add_working_days, due_after, end_of_day
from dermtriage.triage.image_severity import Finding, triage_image
from dermtriage.triage.lanes import aged_lane, base_lane, retake_priority
from dermtriage.triage.policy import Policy
from dermtriage.triage.recall import needs_recall

POLICY = Policy(lower=0.3, upper=0.6, disagreement=0.4, out_of_scope=0.8)

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Beirut", "Pacific/Apia")

shares = st.floats(0, 1)
scored = st.sampled_from([Severity.SEVERE, Severity.INDETERMINATE, Severity.LOW])
severities = st.sampled_from(Severity)
priorities = st.sampled_from(Priority)
moments = st.datetimes(
    datetime(2000, 1, 1),
    datetime(2039, 1, 1),
    timezones=st.just(UTC),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    lower, upper = sorted((draw(shares), draw(shares)))
    return Policy(
        lower=lower,
        upper=upper,
        disagreement=draw(shares),
        out_of_scope=draw(st.none() | shares),
        due_working_days=tuple(sorted(draw(st.lists(st.integers(1, 9), min_size=4, max_size=4)))),
        workdays=draw(st.frozensets(st.integers(0, 6), min_size=1)),
        holidays=draw(
            st.frozensets(st.dates(date(2000, 1, 1), date(2039, 1, 1)), max_size=3),
        ),
        timezone=draw(st.sampled_from(ZONES)),
    )


findings = st.builds(Finding, shares, shares, st.none() | shares)


@st.composite
def images(draw: st.DrawFn) -> ImageStatus:
    scoring = draw(st.sampled_from(Scoring))
    return ImageStatus(scoring, draw(scored) if scoring is Scoring.SCORED else None)


# One image


@pytest.mark.parametrize(
    ("p_severe", "severity"),
    [
        (0.0, Severity.LOW),
        (0.2999, Severity.LOW),
        (0.3, Severity.INDETERMINATE),
        (0.5999, Severity.INDETERMINATE),
        (0.6, Severity.SEVERE),
        (1.0, Severity.SEVERE),
    ],
)
def test_thresholds_belong_to_the_more_urgent_side(p_severe: float, severity: Severity) -> None:
    assert triage_image(Finding(p_severe, 0.0), POLICY).severity is severity


@pytest.mark.parametrize(
    ("finding", "reasons"),
    [
        (Finding(0.1, 0.4, 0.8), ()),
        (Finding(0.1, 0.41), ("members_disagree",)),
        (Finding(0.1, 0.1, 0.81), ("out_of_scope",)),
        (Finding(0.1, 0.41, 0.81), ("members_disagree", "out_of_scope")),
        (Finding(0.4, 0.1), ("between_thresholds",)),
        (Finding(0.4, 0.41, 0.81), ("between_thresholds", "members_disagree", "out_of_scope")),
        (Finding(0.7, 0.41, 0.81), ()),
    ],
)
def test_reasons_tell_what_the_score_alone_does_not(
    finding: Finding, reasons: tuple[str, ...]
) -> None:
    assert triage_image(finding, POLICY).reasons == reasons


@given(findings, policies())
def test_doubts_raise_low_and_touch_nothing_else(finding: Finding, policy: Policy) -> None:
    by_score = triage_image(Finding(finding.p_severe, 0.0), policy).severity
    judged = triage_image(finding, policy).severity
    doubtful = finding.disagreement > policy.disagreement or (
        policy.out_of_scope is not None
        and finding.out_of_scope is not None
        and finding.out_of_scope > policy.out_of_scope
    )
    if by_score is Severity.LOW and doubtful:
        assert judged is Severity.INDETERMINATE
    else:
        assert judged is by_score


@given(findings, policies(), shares)
def test_a_higher_score_is_never_less_urgent(finding: Finding, policy: Policy, p: float) -> None:
    low, high = sorted((finding.p_severe, p))
    before = triage_image(replace(finding, p_severe=low), policy).severity
    after = triage_image(replace(finding, p_severe=high), policy).severity
    assert not more_urgent(before, after)


# One case


@given(st.lists(images(), max_size=6))
def test_a_case_is_severe_else_unscored_else_the_worst(statuses: list[ImageStatus]) -> None:
    judged = [status for status in statuses if status.scoring is not Scoring.NOT_SCORED]
    missing = any(status.scoring in {Scoring.PENDING, Scoring.FAILED} for status in judged)
    said = {status.severity for status in judged}
    if Severity.SEVERE in said:
        expected = Severity.SEVERE
    elif missing or not judged:
        expected = Severity.UNSCORED
    elif Severity.INDETERMINATE in said:
        expected = Severity.INDETERMINATE
    else:
        expected = Severity.LOW
    assert case_severity(statuses) is expected


def test_a_case_of_overviews_alone_is_unscored_and_high() -> None:
    place = place_new(
        [ImageStatus(Scoring.NOT_SCORED)],
        Priority.ROUTINE,
        datetime(2026, 3, 2, 9, tzinfo=UTC),
        POLICY,
    )
    assert (place.severity, place.lane) == (Severity.UNSCORED, Lane.UNSCORED)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([ImageStatus(Scoring.FAILED)], Severity.UNSCORED),
        (
            [ImageStatus(Scoring.FAILED), ImageStatus(Scoring.SCORED, Severity.LOW)],
            Severity.UNSCORED,
        ),
        (
            [ImageStatus(Scoring.PENDING), ImageStatus(Scoring.SCORED, Severity.INDETERMINATE)],
            Severity.UNSCORED,
        ),
        (
            [ImageStatus(Scoring.FAILED), ImageStatus(Scoring.SCORED, Severity.SEVERE)],
            Severity.SEVERE,
        ),
        (
            [ImageStatus(Scoring.NOT_SCORED), ImageStatus(Scoring.SCORED, Severity.LOW)],
            Severity.LOW,
        ),
    ],
)
def test_what_is_missing_is_never_hidden(statuses: list[ImageStatus], expected: Severity) -> None:
    assert case_severity(statuses) is expected


_SCORED_RANK = {Severity.LOW: 0, Severity.INDETERMINATE: 1, Severity.SEVERE: 2}


@given(severities, st.lists(severities, max_size=12))
def test_the_severity_of_an_open_case_only_rises(
    first: Severity, judgements: list[Severity]
) -> None:
    course = [first]
    for judgement in judgements:
        course.append(open_severity(course[-1], judgement))
    for before, after in pairwise(course):
        # Unscored is the lack of a score: the first score sets it, and nothing brings it back.
        if before is not Severity.UNSCORED:
            assert after is not Severity.UNSCORED
            assert _SCORED_RANK[after] >= _SCORED_RANK[before]


@given(st.lists(scored, min_size=1))
def test_an_open_case_ends_at_the_worst_that_was_ever_said(judgements: list[Severity]) -> None:
    severity = Severity.UNSCORED
    for judgement in judgements:
        severity = open_severity(severity, judgement)
    assert severity is max(judgements, key=_SCORED_RANK.__getitem__)


# Lanes


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


@given(
    st.lists(images(), min_size=1, max_size=4),
    priorities,
    moments,
    st.lists(st.tuples(severities, st.timedeltas(timedelta(), timedelta(days=9))), max_size=8),
    policies(),
)
def test_a_case_while_it_is_open(
    statuses: list[ImageStatus],
    priority: Priority,
    received_at: datetime,
    judgements: list[tuple[Severity, timedelta]],
    policy: Policy,
) -> None:
    """Whatever is judged whenever, what the design promises of an open case holds."""
    now = received_at
    place = place_new(statuses, priority, received_at, policy)
    course = [place]
    for latest, later in judgements:
        now += later
        place = place_again(place, latest, priority, received_at, now, policy)
        course.append(place)
        assert place.lane <= base_lane(place.severity, priority)
        assert place.ages_at is None or place.ages_at > now
        assert (place.ages_at is None) == (place.lane <= Lane.UNSCORED)
    for before, after in pairwise(course):
        if before.severity is not Severity.UNSCORED:
            assert after.severity is not Severity.UNSCORED
            assert _SCORED_RANK[after.severity] >= _SCORED_RANK[before.severity]
            assert after.lane <= before.lane
            assert after.due_at <= before.due_at
    assert all(place.due_at >= received_at for place in course)


# Ageing


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


# Due times


def _berlin(**kwargs: Any) -> Policy:
    return Policy(lower=0.3, upper=0.6, disagreement=0.4, timezone="Europe/Berlin", **kwargs)


def _at(text: str, zone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        ("2026-03-02T09:00", 1, "2026-03-03T09:00"),  # Monday to Tuesday
        ("2026-03-06T17:30", 1, "2026-03-09T17:30"),  # over a weekend
        ("2026-03-07T12:00", 1, "2026-03-09T23:59:59.999999"),  # a Saturday counts as Friday
        ("2026-03-08T09:00", 1, "2026-03-09T23:59:59.999999"),  # and so does a Sunday
        ("2026-03-02T09:00", 5, "2026-03-09T09:00"),
        ("2026-03-27T09:00", 1, "2026-03-30T09:00"),  # summer time begins on the Sunday between
        ("2026-10-23T09:00", 1, "2026-10-26T09:00"),  # and ends
        ("2026-12-24T09:00", 1, "2026-12-28T09:00"),  # the 25th is a holiday, then a weekend
    ],
)
def test_working_days_keep_the_local_time(start: str, days: int, due: str) -> None:
    policy = _berlin(holidays={date(2026, 12, 25)})
    assert add_working_days(_at(start).astimezone(UTC), days, policy) == _at(due)


def test_the_day_is_the_local_one() -> None:
    # Friday 23:30 UTC is Saturday in Berlin, which is a day off there.
    start = datetime(2026, 3, 6, 23, 30, tzinfo=UTC)
    assert add_working_days(start, 1, _berlin()) == _at("2026-03-09T23:59:59.999999")
    assert add_working_days(start, 1, POLICY) == datetime(2026, 3, 9, 23, 30, tzinfo=UTC)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),
    st.timedeltas(timedelta(0), timedelta(days=9)),
    st.integers(1, 5),
)
def test_what_came_later_is_not_due_earlier(start: datetime, wait: timedelta, days: int) -> None:
    policy = _berlin(holidays={date(2026, 12, 25)})
    # The hour that comes twice in autumn has one local time, so an hour may be lost in it.
    first = add_working_days(start, days, policy)
    assert first <= add_working_days(start + wait, days, policy) + timedelta(hours=1)


def test_other_countries_work_on_sundays() -> None:
    policy = _berlin(workdays={6, 0, 1, 2, 3})
    assert add_working_days(_at("2026-03-05T09:00"), 1, policy) == _at("2026-03-08T09:00")


@given(moments, st.integers(1, 9), policies())
def test_a_due_time_is_that_many_working_days_away(
    start: datetime, days: int, policy: Policy
) -> None:
    due = add_working_days(start, days, policy)
    zone = ZoneInfo(policy.timezone)
    first, last = start.astimezone(zone).date(), due.astimezone(zone).date()
    passed = [first + timedelta(days=n) for n in range(1, (last - first).days + 1)]
    working = [
        day for day in passed if day.weekday() in policy.workdays and day not in policy.holidays
    ]
    assert due > start
    # Samoa crossed the date line: a due time on the day that it skipped falls on the next.
    assert len(working) == days or date(2011, 12, 30) in passed
    assert due.tzinfo is start.tzinfo


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-03-02T09:00:00", "2026-03-02"),
        ("2026-03-07T12:00:00", "2026-03-07"),  # a Saturday is a day all the same
        ("2026-03-29T01:30:00", "2026-03-29"),  # a day of 23 hours
        ("2026-03-02T23:59:59.999999", "2026-03-02"),
    ],
)
def test_stat_is_due_on_the_same_day(received: str, due: str) -> None:
    start = _at(received)
    moment = due_after(start, Lane.SEVERE, Priority.STAT, _berlin())
    assert moment >= start
    local = moment.astimezone(ZoneInfo("Europe/Berlin"))
    assert local.date() == date.fromisoformat(due)
    assert (local + timedelta(seconds=1)).date() > local.date()


@given(moments, policies())
# In Beirut the hour before midnight comes twice when summer time ends.
@example(
    datetime(2026, 10, 24, 21, 30, tzinfo=UTC),
    Policy(lower=0.3, upper=0.6, disagreement=0.4, timezone="Asia/Beirut"),
)
def test_a_day_does_not_end_before_any_of_its_moments(start: datetime, policy: Policy) -> None:
    zone = ZoneInfo(policy.timezone)
    end = end_of_day(start, policy)
    assert end >= start
    assert end.astimezone(zone).date() == start.astimezone(zone).date()
    assert (end + timedelta(seconds=1)).astimezone(zone).date() > start.astimezone(zone).date()


@given(moments, st.sampled_from(Lane), priorities, policies())
def test_a_more_urgent_lane_is_never_due_later(
    start: datetime, lane: Lane, priority: Priority, policy: Policy
) -> None:
    due = [due_after(start, each, priority, policy) for each in Lane]
    assert due == sorted(due)
    assert due_after(start, lane, Priority.STAT, policy) <= due[lane]


@given(moments, st.timedeltas(timedelta(), timedelta(days=30)), priorities, policies())
def test_an_upgrade_is_due_at_the_earlier_of_old_time_and_event_plus_interval(
    received_at: datetime, waited: timedelta, priority: Priority, policy: Policy
) -> None:
    now = received_at + waited
    low = place_new([ImageStatus(Scoring.SCORED, Severity.LOW)], priority, received_at, policy)
    upgraded = place_again(low, Severity.SEVERE, priority, received_at, now, policy)
    assert upgraded.lane == Lane.SEVERE
    assert upgraded.due_at == min(low.due_at, due_after(now, Lane.SEVERE, priority, policy))


def test_the_first_score_counts_from_receipt() -> None:
    monday = datetime(2026, 3, 2, 9, tzinfo=UTC)
    new = place_new([ImageStatus(Scoring.PENDING)], Priority.ROUTINE, monday, POLICY)
    assert (new.severity, new.lane, new.ages_at) == (Severity.UNSCORED, Lane.UNSCORED, None)
    assert new.due_at == datetime(2026, 3, 4, 9, tzinfo=UTC)
    tuesday = monday + timedelta(days=1)
    low = place_again(new, Severity.LOW, Priority.ROUTINE, monday, tuesday, POLICY)
    assert low == Placement(
        Severity.LOW,
        Lane.LOW,
        datetime(2026, 3, 9, 9, tzinfo=UTC),
        datetime(2026, 3, 9, 9, tzinfo=UTC),
    )
    severe = place_again(new, Severity.SEVERE, Priority.ROUTINE, monday, tuesday, POLICY)
    assert (severe.lane, severe.due_at) == (Lane.SEVERE, tuesday)


# Recalls


@given(severities, severities, st.sampled_from(Outcome), st.booleans())
def test_recalls(latest: Severity, before: Severity, outcome: Outcome, already: bool) -> None:
    assert needs_recall(latest, before, outcome, already) == (
        latest is Severity.SEVERE
        and before is not Severity.SEVERE
        and outcome is not Outcome.REFER_URGENT
        and not already
    )


# The policy itself


@given(policies())
def test_a_policy_survives_its_storage(policy: Policy) -> None:
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy


@pytest.mark.parametrize(
    "wrong",
    [
        {"lower": 0.7},
        {"lower": -0.1},
        {"upper": 1.1},
        {"upper": float("nan")},
        {"disagreement": 2},
        {"out_of_scope": -1},
        {"due_working_days": (0, 1, 2, 3)},
        {"due_working_days": (2, 1, 2, 5)},
        {"due_working_days": (1, 2, 2)},
        {"workdays": frozenset()},
        {"workdays": {7}},
        {"timezone": "Europe/Atlantis"},
        {"timezone": "../etc/passwd"},
        {"timezone": ""},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_policy_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Policy(**{"lower": 0.3, "upper": 0.6, "disagreement": 0.4} | wrong)


@given(st.sampled_from(Priority), st.sampled_from(Priority), st.sampled_from(Severity))
def test_a_retake_never_stands_behind_what_it_replaces(
    asked: Priority, replaced: Priority, severity: Severity
) -> None:
    priority = retake_priority(asked, replaced, severity)
    order = list(Priority)
    assert order.index(priority) <= min(order.index(asked), order.index(replaced))
    if severity is not Severity.UNSCORED:
        assert base_lane(Severity.LOW, priority) <= base_lane(severity, replaced)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.1])
def test_what_is_no_probability_is_no_finding(value: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Finding(value, 0)

"""Due times in working days."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.triage_strategies import (
    POLICY,
    moments,
    policies,
    priorities,
)

from dermtriage.core.enums import (
    Lane,
    Priority,
)
from dermtriage.triage.due_times import add_working_days, due_after, end_of_day
from dermtriage.triage.policy import Policy


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
def test_a_later_start_is_not_due_earlier(start: datetime, wait: timedelta, days: int) -> None:
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

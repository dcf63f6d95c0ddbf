"""Due times in working days."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dermtriage.core.enums import Lane, Priority
from dermtriage.triage.policy import Policy


def add_working_days(start: datetime, days: int, policy: Policy) -> datetime:
    """Return the same local time `days` working days after `start`, which is aware.

    A start on a day off counts as the end of the working day before it, so that a later start is
    never due earlier than one on that day.
    """

    def is_working_day(day: date) -> bool:
        return day.weekday() in policy.workdays and day not in policy.holidays

    local = start.astimezone(ZoneInfo(policy.timezone))
    day, at = local.date(), local.timetz()
    if not is_working_day(day):
        at = time.max.replace(tzinfo=local.tzinfo, fold=1)
    while days:
        day += timedelta(days=1)
        days -= is_working_day(day)
    return datetime.combine(day, at).astimezone(start.tzinfo)


def end_of_day(start: datetime, policy: Policy) -> datetime:
    """Return the last moment of the local day of `start`."""
    zone = ZoneInfo(policy.timezone)
    day = start.astimezone(zone).date()
    # Where the clock goes back at midnight, the last hour of the day occurs twice: use the second.
    last = time.max.replace(fold=1)
    return datetime.combine(day, last, tzinfo=zone).astimezone(start.tzinfo)


def due_after(start: datetime, lane: Lane, priority: Priority, policy: Policy) -> datetime:
    """Return when a case that is in `lane` from `start` on is due."""
    due = add_working_days(start, policy.due_working_days[lane], policy)
    if priority is Priority.STAT:
        return min(due, end_of_day(start, policy))
    return due

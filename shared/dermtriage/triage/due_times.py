"""Due times in working days, and what age does to a lane."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dermtriage.core.enums import Lane, Priority
from dermtriage.triage.policy import Policy


def add_working_days(start: datetime, days: int, policy: Policy) -> datetime:
    """Return the same local time `days` working days after `start`, which is aware.

    What starts on a day off counts as from the end of the working day before, so that nothing is
    due earlier than what came before it.
    """

    def works(day: date) -> bool:
        return day.weekday() in policy.workdays and day not in policy.holidays

    local = start.astimezone(ZoneInfo(policy.timezone))
    day, at = local.date(), local.timetz()
    if not works(day):
        at = time.max.replace(tzinfo=local.tzinfo, fold=1)
    while days:
        day += timedelta(days=1)
        days -= works(day)
    return datetime.combine(day, at).astimezone(start.tzinfo)


def end_of_day(start: datetime, policy: Policy) -> datetime:
    """Return the last moment of the local day of `start`."""
    zone = ZoneInfo(policy.timezone)
    day = start.astimezone(zone).date()
    # Where the clock goes back at midnight, the day's last hour comes twice: the second counts.
    last = time.max.replace(fold=1)
    return datetime.combine(day, last, tzinfo=zone).astimezone(start.tzinfo)


def due_after(start: datetime, lane: Lane, priority: Priority, policy: Policy) -> datetime:
    """Return when a case that is in `lane` from `start` on is due."""
    due = add_working_days(start, policy.due_working_days[lane], policy)
    if priority is Priority.STAT:
        return min(due, end_of_day(start, policy))
    return due


@dataclass(frozen=True, slots=True)
class Age:
    """The lane to which waiting has raised a case, and when it next rises (None: never)."""

    lane: Lane
    next_at: datetime | None


def age(received_at: datetime, now: datetime, base: Lane, policy: Policy) -> Age:
    """Raise a lane for each due interval that has passed since receipt, to lane 1 at most.

    The interval is that of the lane in which the case then waits, so that a case which rose
    once waits the shorter time of its new lane before it rises again.
    """
    lane, at = base, received_at
    while lane > Lane.UNSCORED:
        at = add_working_days(at, policy.due_working_days[lane], policy)
        if at > now:
            return Age(lane, at)
        lane = Lane(lane - 1)
    return Age(lane, None)

"""Each night is planned once, whatever clocks and settings do."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermtriage.rescoring.nights import last_night

DAY = timedelta(days=1)
LOOK = timedelta(minutes=10)

ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/Lima",
        "America/Havana",
        "America/Nuuk",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Pacific/Kiritimati",
    ]
)
TIMES = st.builds("{:02}:{}0".format, st.integers(0, 23), st.integers(0, 5))
# A day from 2026 to 2029 with all changes of the clock, and the hours are counted from it.
DAYS = st.dates(date(2026, 1, 1), date(2029, 12, 31)).map(
    lambda day: datetime(day.year, day.month, day.day, tzinfo=UTC)
)


def planned(
    begin: datetime, before: tuple[str, str], after: tuple[str, str], changed: timedelta
) -> dict[date, datetime]:
    """Look often for a week, as upkeep does, and return the nights with when they were planned.

    Hour and zone are set to others after a while.
    """
    nights: dict[date, datetime] = {}
    for look in range(7 * DAY // LOOK):
        now = begin + look * LOOK
        night, _ = last_night(*(before if now < begin + changed else after), now)
        nights.setdefault(night, now)
    return nights


def follow(dates: list[date]) -> bool:
    return all(later - earlier == DAY for earlier, later in pairwise(dates))


@given(begin=DAYS, minutes=st.integers(0, 24 * 60), zone=ZONES, at=TIMES)
def test_the_last_night_has_begun_within_a_day(
    begin: datetime, minutes: int, zone: str, at: str
) -> None:
    now = begin + timedelta(minutes=minutes)
    night, began = last_night(at, zone, now)
    # A day may have an hour more.
    assert timedelta() <= now - began < timedelta(hours=25)
    # A night has the date of its morning, whether it begins before midnight or after it.
    local = began.astimezone(ZoneInfo(zone))
    assert local.date() == night - (DAY if local.hour >= 12 else timedelta())


@pytest.mark.parametrize(
    ("night", "began"),
    [
        # 02:30 is skipped: it is half an hour after what would have been 02:00.
        (date(2026, 3, 29), "2026-03-29T01:30Z"),
        # 02:30 in summer time; an hour later it is 02:30 again.
        (date(2026, 10, 25), "2026-10-25T00:30Z"),
    ],
)
def test_a_change_of_the_clock_neither_skips_nor_doubles_a_night(night: date, began: str) -> None:
    setting = ("02:30", "Europe/Berlin")
    begin = datetime(night.year, night.month, night.day, tzinfo=UTC) - 2 * DAY
    nights = planned(begin, setting, setting, DAY)
    assert list(nights) == [night + days * DAY for days in range(-3, 5)]
    assert nights[night] == datetime.fromisoformat(began)


def test_a_clock_that_is_put_back_brings_no_earlier_night_back() -> None:
    """Upkeep did not run before: what it makes up for is the last night alone."""
    setting = ("02:30", "Europe/Berlin")
    nights = planned(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), setting, setting, DAY)
    assert min(nights) == date(2026, 10, 25)


@given(begin=DAYS, before=TIMES, after=TIMES, zone=ZONES, hours=st.integers(24, 96))
def test_from_noon_to_noon_there_is_one_run_also_when_the_hour_is_changed(
    begin: datetime, before: str, after: str, zone: str, hours: int
) -> None:
    nights = planned(begin, (before, zone), (after, zone), timedelta(hours=hours))
    # The first one makes up for what was before.
    _, *moments = [now.astimezone(ZoneInfo(zone)) for now in nights.values()]
    noons = [(moment.replace(tzinfo=None) + DAY / 2).date() for moment in moments]
    assert len(noons) >= 5
    assert follow(noons)


@given(begin=DAYS, at=TIMES, before=ZONES, after=ZONES, hours=st.integers(24, 96))
def test_a_change_of_the_time_zone_leaves_no_night_out(
    begin: datetime, at: str, before: str, after: str, hours: int
) -> None:
    nights = planned(begin, (at, before), (at, after), timedelta(hours=hours))
    assert follow(sorted(nights))
    # Another zone brings no night back that is over.
    assert list(nights) == sorted(nights)

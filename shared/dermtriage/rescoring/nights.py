"""When a night of rescoring begins, and which date it has. Pure: no I/O, no clock."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

NOON = 12
"""The hour at which one night ends and the next may begin."""


def last_night(at: str, timezone: str, now: datetime) -> tuple[date, datetime]:
    """Return the date and the beginning of the last night that has begun.

    A night lasts from noon to noon and has the date of its morning. One that begins at 22:00 and
    one that begins at 01:00 are therefore the same night, and its hour can be changed on any day.

    Parameters
    ----------
    at
        Local time at which a night begins, HH:MM.
    timezone
        IANA name of the time zone.
    now
        Aware.

    Returns
    -------
    date, datetime
        The local date of the night's morning, and its beginning in UTC.
    """
    hour, minute = (int(part) for part in at.split(":"))
    zone = ZoneInfo(timezone)
    day = now.astimezone(zone).date()
    # Compared in UTC: a local hour may come twice, or never.
    began = datetime.combine(day, time(hour, minute), tzinfo=zone).astimezone(UTC)
    if began > now:
        day -= timedelta(days=1)
        began = datetime.combine(day, time(hour, minute), tzinfo=zone).astimezone(UTC)
    return day + timedelta(days=1 if hour >= NOON else 0), began

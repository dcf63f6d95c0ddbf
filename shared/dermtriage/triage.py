"""Assessments and a policy in; severity, lane and due time out. Pure: no I/O, no clock.

Everything here may be replayed from stored rows, so that changing a policy needs no GPU.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dermtriage.settings import TimeZone
from dermtriage.states import (
    PRIORITY_LANE,
    SEVERITY_LANE,
    Lane,
    Outcome,
    Priority,
    Scoring,
    Severity,
)


class Policy(BaseModel):
    """A version of thresholds and due times. Probabilities and disagreement range from 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lower: float = Field(ge=0, le=1, description="p_severe below this is low")
    upper: float = Field(ge=0, le=1, description="p_severe from this on is severe")
    disagreement: float = Field(ge=0, le=1, description="More than this raises low")
    out_of_scope: float | None = Field(
        default=None, ge=0, le=1, description="More than this raises low; None: not judged"
    )
    due_working_days: tuple[int, int, int, int] = Field(
        default=(1, 2, 2, 5), description="Working days to a decision, a lane each"
    )
    workdays: frozenset[int] = Field(
        default=frozenset(range(5)), min_length=1, description="Monday is 0"
    )
    holidays: frozenset[date] = frozenset()
    timezone: TimeZone = "UTC"

    @model_validator(mode="after")
    def _ordered(self) -> "Policy":
        if self.lower > self.upper:
            raise ValueError("the lower threshold lies above the upper one")
        if min(self.due_working_days) < 1 or any(a > b for a, b in pairwise(self.due_working_days)):
            raise ValueError("a more urgent lane may not have a longer due interval")
        if not self.workdays <= frozenset(range(7)):
            raise ValueError("workdays are numbers from 0 (Monday) to 6")
        return self


@dataclass(frozen=True, slots=True)
class Finding:
    """What one release said of one image, as far as triage needs it; all from 0 to 1."""

    p_severe: float
    disagreement: float
    out_of_scope: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no probability: it lies below no threshold and above none."""
        for value in (self.p_severe, self.disagreement, self.out_of_scope or 0.0):
            if not 0 <= value <= 1:
                raise ValueError(f"{value} does not lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class ImageTriage:
    """The severity of one image, and in words why it is not what the score alone says."""

    severity: Severity
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """How far one image is, and its severity once it is scored."""

    scoring: Scoring
    severity: Severity | None = None


def triage_image(finding: Finding, policy: Policy) -> ImageTriage:
    """Apply the thresholds of `policy` to one image.

    Disagreement and an out-of-scope flag raise low to indeterminate; nothing lowers severe.
    """
    if finding.p_severe >= policy.upper:
        return ImageTriage(Severity.SEVERE)
    reasons = []
    if finding.disagreement > policy.disagreement:
        reasons.append("members_disagree")
    if (
        policy.out_of_scope is not None
        and finding.out_of_scope is not None
        and finding.out_of_scope > policy.out_of_scope
    ):
        reasons.append("out_of_scope")
    if finding.p_severe >= policy.lower:
        return ImageTriage(Severity.INDETERMINATE, ("between_thresholds", *reasons))
    return ImageTriage(Severity.INDETERMINATE if reasons else Severity.LOW, tuple(reasons))


_RANK = {Severity.LOW: 0, Severity.INDETERMINATE: 1, Severity.UNSCORED: 2, Severity.SEVERE: 3}


def more_urgent(new: Severity, old: Severity) -> bool:
    """Whether `new` is read before `old`."""
    return _RANK[new] > _RANK[old]


def most_urgent(first: Severity, *others: Severity) -> Severity:
    """Return the one that is read before the others."""
    return max(first, *others, key=_RANK.__getitem__) if others else first


def retake_priority(asked: Priority, replaced: Priority, severity: Severity) -> Priority:
    """Return the priority of a retake: it never stands behind the case that it replaces.

    Parameters
    ----------
    asked
        What the referrer asks for now.
    replaced, severity
        What was asked for, and what triage thought, of the case that is replaced.
    """
    by_triage = {Severity.SEVERE: Priority.ASAP, Severity.INDETERMINATE: Priority.URGENT}
    inherited = by_triage.get(severity, Priority.ROUTINE)
    return min(asked, replaced, inherited, key=list(Priority).index)


def case_severity(images: Iterable[ImageStatus]) -> Severity:
    """Severe if any image is; else unscored while one is missing; else the worst of them."""
    judged = [image for image in images if image.scoring is not Scoring.NOT_SCORED]
    scored = [image.severity for image in judged if image.severity is not None]
    if Severity.SEVERE in scored:
        return Severity.SEVERE
    if not judged or len(scored) < len(judged):
        return Severity.UNSCORED
    return most_urgent(*scored)


def open_severity(current: Severity, latest: Severity) -> Severity:
    """Return the severity of an open case after a new judgement: it only rises.

    The first real score of an unscored case sets it, also to low.
    """
    if current is Severity.UNSCORED:
        return latest
    if latest is Severity.UNSCORED:
        return current
    return most_urgent(current, latest)


def base_lane(severity: Severity, priority: Priority) -> Lane:
    """Return the more urgent of what triage and the referrer say, before age counts."""
    return min(SEVERITY_LANE[severity], PRIORITY_LANE[priority])


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


def recalls(
    latest: Severity, severity_at_decision: Severity, outcome: Outcome, already_recalled: bool
) -> bool:
    """Whether a decided case must be read again because a later score is severe."""
    return (
        latest is Severity.SEVERE
        and severity_at_decision is not Severity.SEVERE
        and outcome is not Outcome.REFER_URGENT
        and not already_recalled
    )


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a case stands in the worklist. Times are aware."""

    severity: Severity
    lane: Lane
    due_at: datetime
    ages_at: datetime | None


def place_new(
    images: Sequence[ImageStatus], priority: Priority, received_at: datetime, policy: Policy
) -> Placement:
    """Place a case at its commit."""
    severity = case_severity(images)
    lane = base_lane(severity, priority)
    return Placement(
        severity,
        lane,
        due_after(received_at, lane, priority, policy),
        age(received_at, received_at, lane, policy).next_at,
    )


def place_again(
    current: Placement,
    latest: Severity,
    priority: Priority,
    received_at: datetime,
    now: datetime,
    policy: Policy,
) -> Placement:
    """Place an open case after a new judgement, or as time has passed.

    The first score counts its due time from receipt. A later rise makes the case due at the
    earlier of its old due time and now plus the interval; nothing else moves a due time.
    """
    severity = open_severity(current.severity, latest)
    base = base_lane(severity, priority)
    aged = age(received_at, now, base, policy)
    if current.severity is Severity.UNSCORED and severity is not Severity.UNSCORED:
        due_at = due_after(received_at, base, priority, policy)
    elif more_urgent(severity, current.severity):
        due_at = min(current.due_at, due_after(now, base, priority, policy))
    else:
        due_at = current.due_at
    return Placement(severity, aged.lane, due_at, aged.next_at)

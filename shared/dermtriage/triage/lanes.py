"""Lanes of the worklist: by severity, by the referrer's priority, and by age."""

from dataclasses import dataclass
from datetime import datetime

from dermtriage.core.enums import PRIORITY_LANE, SEVERITY_LANE, Lane, Priority, Severity
from dermtriage.triage.due_times import add_working_days
from dermtriage.triage.policy import Policy


def base_lane(severity: Severity, priority: Priority) -> Lane:
    """Return the more urgent lane of severity and the referrer's priority, before age counts."""
    return min(SEVERITY_LANE[severity], PRIORITY_LANE[priority])


def retake_priority(requested: Priority, replaced: Priority, *severities: Severity) -> Priority:
    """Return the priority of a retake: never less urgent than the case that it replaces.

    Parameters
    ----------
    requested
        What the referrer requests now.
    replaced
        The referrer's priority of the case that is replaced.
    severities
        Its severities: the one that stands, and the latest, which a late score may have raised.
    """
    by_severity = {Severity.SEVERE: Priority.ASAP, Severity.INDETERMINATE: Priority.URGENT}
    inherited = [by_severity[severity] for severity in severities if severity in by_severity]
    return min(requested, replaced, *inherited, key=list(Priority).index)


@dataclass(frozen=True, slots=True)
class AgedLane:
    """The lane to which waiting has raised a case, and when it next rises (None: never)."""

    lane: Lane
    next_at: datetime | None


def aged_lane(received_at: datetime, now: datetime, base: Lane, policy: Policy) -> AgedLane:
    """Raise a lane for each due interval that has passed since receipt, to lane 1 at most.

    The interval is that of the lane in which the case then waits, so that a case that rose once
    waits the shorter interval of its new lane before it rises again.
    """
    lane, at = base, received_at
    while lane > Lane.UNSCORED:
        at = add_working_days(at, policy.due_working_days[lane], policy)
        if at > now:
            return AgedLane(lane, at)
        lane = Lane(lane - 1)
    return AgedLane(lane, None)

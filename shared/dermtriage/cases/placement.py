"""Where a case stands in the worklist, and what becomes of it. Pure: no I/O, no clock."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dermtriage.core.enums import CaseState, Lane, Priority, Severity
from dermtriage.models import Decision
from dermtriage.triage.case_severity import (
    ImageStatus,
    case_severity,
    more_urgent,
    most_urgent,
    open_severity,
)
from dermtriage.triage.due_times import due_after
from dermtriage.triage.lanes import aged_lane, base_lane
from dermtriage.triage.policy import Policy
from dermtriage.triage.recall import needs_recall


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
        aged_lane(received_at, received_at, lane, policy).next_at,
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
    aged = aged_lane(received_at, now, base, policy)
    if current.severity is Severity.UNSCORED and severity is not Severity.UNSCORED:
        due_at = due_after(received_at, base, priority, policy)
    elif more_urgent(severity, current.severity):
        due_at = min(current.due_at, due_after(now, base, priority, policy))
    else:
        due_at = current.due_at
    return Placement(severity, aged.lane, due_at, aged.next_at)


@dataclass(frozen=True, slots=True)
class CaseStatus:
    """How a case stands, as far as it counts for placing it again."""

    state: CaseState
    place: Placement
    latest_severity: Severity
    priority: Priority
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Transition:
    """What becomes of a case."""

    state: CaseState
    place: Placement
    rose: bool
    """Whether it is more urgent than anyone can have seen it."""
    kind: str | None
    """Of the event; None if nothing changed that is an event."""


def may_be_recalled(standing: CaseStatus, latest: Severity) -> bool:
    """Whether the decision that stands has to be asked if `latest` recalls the case."""
    closed = standing.state in {CaseState.DECIDED, CaseState.AWAITING_RETAKE}
    return closed and latest is Severity.SEVERE


def reconsider(
    standing: CaseStatus, latest: Severity, decision: Decision | None, policy: Policy, now: datetime
) -> Transition:
    """Say what becomes of a case; nothing is read or written.

    Parameters
    ----------
    latest
        Its severity by all of its images.
    decision
        The one that stands, if the case `may_be_recalled`.
    """
    before = standing.place
    # In whatever state: whoever is about to decide has not seen this.
    rose = more_urgent(latest, most_urgent(before.severity, standing.latest_severity))
    if standing.state is CaseState.OPEN:
        after = _again(standing, before, latest, policy, now)
        return Transition(CaseState.OPEN, after, rose, event_kind(before, after))
    if decision is not None and needs_recall(
        latest, decision.severity_at_decision, decision.outcome, decision.recalled_at is not None
    ):
        # A case decided before its first score would otherwise be due by its receipt, long ago.
        judged = replace(before, severity=Severity.LOW)
        after = _again(standing, judged, latest, policy, now)
        return Transition(CaseState.OPEN, after, rose, "recalled")
    return Transition(standing.state, before, rose, None)


def _again(
    standing: CaseStatus, current: Placement, latest: Severity, policy: Policy, now: datetime
) -> Placement:
    return place_again(current, latest, standing.priority, standing.received_at, now, policy)


def event_kind(before: Placement, after: Placement) -> str | None:
    """Return the kind of event that a move of an open case is; None if it is none."""
    if (before.severity, before.lane) == (after.severity, after.lane):
        return None
    if before.severity is after.severity:
        return "aged"
    return "scored" if before.severity is Severity.UNSCORED else "upgraded"

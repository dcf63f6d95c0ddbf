"""Place cases in the worklist. Pure: no I/O, no clock."""

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
    """The place of a case in the worklist. Times are aware.

    Attributes
    ----------
    ages_at
        When age raises the lane next; None for never.
    """

    severity: Severity
    lane: Lane
    due_at: datetime
    ages_at: datetime | None


@dataclass(frozen=True, slots=True)
class CaseStatus:
    """The part of a case that counts for placing it again."""

    state: CaseState
    placement: Placement
    latest_severity: Severity
    priority: Priority
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Transition:
    """The state and placement that a case changes to; they may be those that it has.

    Attributes
    ----------
    rose
        Whether the case is now more urgent than any clinician can have seen it.
    kind
        Of the event to record; None for no event.
    """

    state: CaseState
    placement: Placement
    rose: bool
    kind: str | None


def place_new(
    images: Sequence[ImageStatus], priority: Priority, received_at: datetime, policy: Policy
) -> Placement:
    """Place a case on its receipt."""
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
    """Place an open case after its images were triaged again, or as time has passed.

    The first score counts the due time from receipt. A later rise makes the case due at the
    earlier of its old due time and now plus the interval; nothing else changes a due time.
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


def may_be_recalled(status: CaseStatus, latest: Severity) -> bool:
    """Whether `latest` recalls the case if its current decision allows it."""
    closed = status.state in {CaseState.DECIDED, CaseState.AWAITING_RETAKE}
    return closed and latest is Severity.SEVERE


def reconsider(
    status: CaseStatus, latest: Severity, decision: Decision | None, policy: Policy, now: datetime
) -> Transition:
    """Return the transition of a case after its images were triaged again.

    Parameters
    ----------
    latest
        Its severity by all of its images.
    decision
        The current one; needed only if the case `may_be_recalled`.
    """
    before = status.placement
    # In any state: a clinician who is about to decide has not seen this severity.
    rose = more_urgent(latest, most_urgent(before.severity, status.latest_severity))
    if status.state is CaseState.OPEN:
        after = _place_again(status, before, latest, policy, now)
        return Transition(CaseState.OPEN, after, rose, event_kind(before, after))
    if decision is not None and needs_recall(
        latest, decision.severity_at_decision, decision.outcome, decision.recalled_at is not None
    ):
        # A case decided before its first score would otherwise be due by its receipt, long ago.
        scored = replace(before, severity=Severity.LOW)
        after = _place_again(status, scored, latest, policy, now)
        return Transition(CaseState.OPEN, after, rose, "recalled")
    return Transition(status.state, before, rose, None)


def without_lowering(status: CaseStatus, transition: Transition) -> Transition:
    """Keep an open case that has a score in its lane where a transition would lower the lane."""
    before, after = status.placement, transition.placement
    if (
        status.state is not CaseState.OPEN
        or before.severity is Severity.UNSCORED
        or after.lane <= before.lane
    ):
        return transition
    kept = replace(after, lane=before.lane)
    return replace(transition, placement=kept, kind=event_kind(before, kept))


def event_kind(before: Placement, after: Placement) -> str | None:
    """Return the kind of event by which an open case changes its placement; None for none."""
    if (before.severity, before.lane) == (after.severity, after.lane):
        return None
    if before.severity is after.severity:
        return "aged"
    return "scored" if before.severity is Severity.UNSCORED else "upgraded"


def _place_again(
    status: CaseStatus, current: Placement, latest: Severity, policy: Policy, now: datetime
) -> Placement:
    return place_again(current, latest, status.priority, status.received_at, now, policy)

"""Put a case where its assessments, its referrer and its age say, and write down the change."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from dermtriage.models import Case, Decision, TriageEvent
from dermtriage.states import CaseState, Lane, Priority, Severity
from dermtriage.triage import (
    ImageStatus,
    Placement,
    Policy,
    case_severity,
    more_urgent,
    most_urgent,
    place_again,
    recalls,
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a case is placed again: a policy, and the assessments of one release."""

    policy_id: int
    release_id: int | None = None
    image_ids: Sequence[UUID] = ()
    run_id: UUID | None = None
    """The rescore run that brought the assessments, if one did."""
    previous: Mapping[UUID, int] = field(default_factory=dict)
    """By image the release whose assessment counted before, where it was another."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a case stands, as far as it counts for placing it again."""

    state: CaseState
    place: Placement
    latest_severity: Severity
    priority: Priority
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a case."""

    state: CaseState
    place: Placement
    rose: bool
    """Whether it is more urgent than anyone can have seen it."""
    kind: str | None
    """Of the event; None if nothing changed that is an event."""


def current_decisions(session: Session, case_ids: Collection[UUID]) -> dict[UUID, Decision]:
    """Return, of each case that has one, the decision that no later one supersedes."""
    later = aliased(Decision)
    standing = select(Decision).where(
        Decision.case_id.in_(case_ids),
        ~select(later.id).where(later.supersedes_id == Decision.id).exists(),
    )
    return {decision.case_id: decision for decision in session.scalars(standing)}


def current_decision(session: Session, case_id: UUID) -> Decision | None:
    """Return the decision of a case that no later one supersedes."""
    return current_decisions(session, [case_id]).get(case_id)


def place_case(
    session: Session, case: Case, cause: Cause, policy: Policy, now: datetime
) -> str | None:
    """Triage one case from its stored images; the caller holds the lock on its row.

    An open case moves, a decided one may be recalled, and each change becomes an event. A case
    that has been scored before never falls into a less urgent lane here: `now` may be older than
    what has aged it, and a policy that lowers cases needs leave (`rejudging`).

    Returns
    -------
    str or None
        The kind of the event; None if nothing changed that is an event.
    """
    latest = case_severity([ImageStatus(image.scoring, image.severity) for image in case.images])
    standing = Standing(
        case.state,
        Placement(case.severity, Lane(case.lane), case.due_at, case.ages_at),
        case.latest_severity,
        case.priority,
        case.received_at,
    )
    decision = current_decision(session, case.id) if may_be_recalled(standing, latest) else None
    verdict = _not_lower(standing, reconsider(standing, latest, decision, policy, now))
    place = verdict.place
    case.state, case.latest_severity = verdict.state, latest
    case.severity, case.lane = place.severity, place.lane
    case.due_at, case.ages_at = place.due_at, place.ages_at
    case.triage_version += verdict.rose
    if decision is not None and verdict.kind == "recalled":
        case.recalled_at = case.changed_at = decision.recalled_at = now
    if verdict.kind is not None:
        session.add(TriageEvent(**event_values(case.id, standing, verdict, cause)))
    return verdict.kind


def may_be_recalled(standing: Standing, latest: Severity) -> bool:
    """Whether the decision that stands has to be asked if `latest` recalls the case."""
    closed = standing.state in {CaseState.DECIDED, CaseState.AWAITING_RETAKE}
    return closed and latest is Severity.SEVERE


def reconsider(
    standing: Standing, latest: Severity, decision: Decision | None, policy: Policy, now: datetime
) -> Verdict:
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
        return Verdict(CaseState.OPEN, after, rose, _kind(before, after))
    if decision is not None and recalls(
        latest, decision.severity_at_decision, decision.outcome, decision.recalled_at is not None
    ):
        # A case decided before its first score would otherwise be due by its receipt, long ago.
        judged = replace(before, severity=Severity.LOW)
        after = _again(standing, judged, latest, policy, now)
        return Verdict(CaseState.OPEN, after, rose, "recalled")
    return Verdict(standing.state, before, rose, None)


def event_values(
    case_id: UUID, standing: Standing, verdict: Verdict, cause: Cause
) -> dict[str, Any]:
    """Return the columns of the event that tells of a verdict."""
    before, after = standing.place, verdict.place
    previous = {str(image_id): release_id for image_id, release_id in cause.previous.items()}
    return {
        "case_id": case_id,
        "kind": verdict.kind,
        "from_severity": before.severity,
        "to_severity": after.severity,
        "from_lane": before.lane,
        "to_lane": after.lane,
        "from_state": standing.state,
        "to_state": verdict.state,
        "policy_id": cause.policy_id,
        "release_id": cause.release_id,
        "image_ids": [str(image_id) for image_id in cause.image_ids],
        "run_id": cause.run_id,
        "detail": {"previous_release_ids": previous} if previous else {},
    }


def _again(
    standing: Standing, current: Placement, latest: Severity, policy: Policy, now: datetime
) -> Placement:
    return place_again(current, latest, standing.priority, standing.received_at, now, policy)


def _not_lower(standing: Standing, verdict: Verdict) -> Verdict:
    before, after = standing.place, verdict.place
    if (
        standing.state is not CaseState.OPEN
        or before.severity is Severity.UNSCORED
        or after.lane <= before.lane
    ):
        return verdict
    kept = replace(after, lane=before.lane)
    return replace(verdict, place=kept, kind=_kind(before, kept))


def _kind(before: Placement, after: Placement) -> str | None:
    if (before.severity, before.lane) == (after.severity, after.lane):
        return None
    if before.severity is after.severity:
        return "aged"
    return "scored" if before.severity is Severity.UNSCORED else "upgraded"

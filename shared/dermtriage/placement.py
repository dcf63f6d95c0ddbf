"""Put a case where its assessments, its referrer and its age say, and write down the change."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from dermtriage.models import Case, Decision, TriageEvent
from dermtriage.states import CaseState, Lane, Severity
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


def place_case(session: Session, case: Case, cause: Cause, policy: Policy, now: datetime) -> None:
    """Triage one case from its stored images; the caller holds the lock on its row.

    An open case moves, a decided one may be recalled, and each change becomes an event.
    """
    latest = case_severity([ImageStatus(image.scoring, image.severity) for image in case.images])
    if more_urgent(latest, most_urgent(case.severity, case.latest_severity)):
        # In whatever state: whoever is about to decide has not seen this.
        case.triage_version += 1
    case.latest_severity = latest
    if case.state is CaseState.OPEN:
        _move(session, case, latest, cause, policy, now)
    elif case.state is not CaseState.WITHDRAWN:
        _recall(session, case, latest, cause, policy, now)


def _move(
    session: Session, case: Case, latest: Severity, cause: Cause, policy: Policy, now: datetime
) -> None:
    before = Placement(case.severity, Lane(case.lane), case.due_at, case.ages_at)
    after = place_again(before, latest, case.priority, case.received_at, now, policy)
    _put(case, after)
    if (before.severity, before.lane) != (after.severity, after.lane):
        if before.severity is after.severity:
            kind = "aged"
        else:
            kind = "scored" if before.severity is Severity.UNSCORED else "upgraded"
        _write_event(session, case, before, CaseState.OPEN, cause, kind)


def _recall(
    session: Session, case: Case, latest: Severity, cause: Cause, policy: Policy, now: datetime
) -> None:
    decision = current_decision(session, case.id)
    if decision is None or not recalls(
        latest, decision.severity_at_decision, decision.outcome, decision.recalled_at is not None
    ):
        return
    before = Placement(case.severity, Lane(case.lane), case.due_at, case.ages_at)
    # A case decided before its first score would otherwise be due by its receipt, long ago.
    judged = Placement(Severity.LOW, before.lane, before.due_at, before.ages_at)
    _put(case, place_again(judged, latest, case.priority, case.received_at, now, policy))
    state_before, case.state = case.state, CaseState.OPEN
    case.recalled_at = case.changed_at = decision.recalled_at = now
    _write_event(session, case, before, state_before, cause, "recalled")


def _put(case: Case, place: Placement) -> None:
    case.severity, case.lane = place.severity, place.lane
    case.due_at, case.ages_at = place.due_at, place.ages_at


def _write_event(
    session: Session,
    case: Case,
    before: Placement,
    state_before: CaseState,
    cause: Cause,
    kind: str,
) -> None:
    session.add(
        TriageEvent(
            case_id=case.id,
            kind=kind,
            from_severity=before.severity,
            to_severity=case.severity,
            from_lane=before.lane,
            to_lane=case.lane,
            from_state=state_before,
            to_state=case.state,
            policy_id=cause.policy_id,
            release_id=cause.release_id,
            image_ids=[str(image_id) for image_id in cause.image_ids],
        )
    )

"""Apply to a case what its assessments, its referrer and its age say, and record the event."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from dermtriage.cases.decisions import current_decision
from dermtriage.cases.placement import (
    CaseStatus,
    Placement,
    Transition,
    event_kind,
    may_be_recalled,
    reconsider,
)
from dermtriage.core.enums import CaseState, Lane, Severity
from dermtriage.models import Case, TriageEvent
from dermtriage.triage.case_severity import ImageStatus, case_severity
from dermtriage.triage.policy import Policy


@dataclass(frozen=True, slots=True)
class TriageCause:
    """Why a case is placed again: a policy, and the assessments of one release."""

    policy_id: int
    release_id: int | None = None
    image_ids: Sequence[UUID] = ()
    run_id: UUID | None = None
    """The rescore run that brought the assessments, if one did."""
    previous: Mapping[UUID, int] = field(default_factory=dict)
    """By image the release whose assessment counted before, where it was another."""


def lock_cases(session: Session, case_ids: Collection[UUID]) -> Sequence[Case]:
    """Lock cases until the end of the caller's transaction, and return them with their images.

    Every writer locks cases in the order of their ids, and before any other row.
    """
    return session.scalars(
        select(Case)
        .where(Case.id.in_(case_ids))
        .order_by(Case.id)
        .options(selectinload(Case.images))
        .with_for_update(of=Case)
        .execution_options(populate_existing=True)
    ).all()


def place_case(
    session: Session, case: Case, cause: TriageCause, policy: Policy, now: datetime
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
    standing = CaseStatus(
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


def record_event(
    session: Session, case: Case, kind: str, policy_id: int, *, from_state: CaseState | None
) -> None:
    """Record an event that changed neither severity nor lane; call it with the new state set.

    Parameters
    ----------
    from_state
        The state before; None for a new case, which had no severity and no lane either.
    """
    is_new = from_state is None
    session.add(
        TriageEvent(
            case_id=case.id,
            kind=kind,
            from_severity=None if is_new else case.severity,
            to_severity=case.severity,
            from_lane=None if is_new else case.lane,
            to_lane=case.lane,
            from_state=from_state,
            to_state=case.state,
            policy_id=policy_id,
        )
    )


def event_values(
    case_id: UUID, standing: CaseStatus, verdict: Transition, cause: TriageCause
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


def _not_lower(standing: CaseStatus, verdict: Transition) -> Transition:
    before, after = standing.place, verdict.place
    if (
        standing.state is not CaseState.OPEN
        or before.severity is Severity.UNSCORED
        or after.lane <= before.lane
    ):
        return verdict
    kept = replace(after, lane=before.lane)
    return replace(verdict, place=kept, kind=event_kind(before, kept))

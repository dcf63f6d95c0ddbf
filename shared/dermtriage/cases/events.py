"""Triage events: a row for each change of a case's severity, lane or state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from dermtriage.cases.placement import CaseStatus, Placement
from dermtriage.core.enums import CaseState, Lane
from dermtriage.models import Case, TriageEvent


@dataclass(frozen=True, slots=True)
class TriageCause:
    """Why a case changes.

    Attributes
    ----------
    policy_id
        The version of the policy by which the case is placed.
    release_id, image_ids
        The assessments that made the change, if any did: of one release, for these images.
    run_id
        The rescore run that made the assessments, if one did.
    previous
        By image the release whose assessment counted before, where it was another.
    """

    policy_id: int
    release_id: int | None = None
    image_ids: Sequence[UUID] = ()
    run_id: UUID | None = None
    previous: Mapping[UUID, int] = field(default_factory=dict)


def case_status(case: Case) -> CaseStatus:
    """Return the part of a case that counts for placing it again."""
    return CaseStatus(
        case.state,
        Placement(case.severity, Lane(case.lane), case.due_at, case.ages_at),
        case.latest_severity,
        case.priority,
        case.received_at,
    )


def record_event(
    session: Session, case: Case, kind: str, cause: TriageCause, *, before: CaseStatus | None
) -> TriageEvent:
    """Record that a case has changed to the state and placement that it has now.

    Parameters
    ----------
    before
        The status of the case before the change; None on its receipt.
    """
    after = case_status(case)
    event = TriageEvent(
        **event_values(
            case.id, kind, cause, before=before, state=after.state, placement=after.placement
        )
    )
    session.add(event)
    return event


def event_values(
    case_id: UUID,
    kind: str,
    cause: TriageCause,
    *,
    before: CaseStatus | None,
    state: CaseState,
    placement: Placement,
) -> dict[str, Any]:
    """Return the columns of the event by which a case changes to `state` and `placement`."""
    previous = {str(image_id): release_id for image_id, release_id in cause.previous.items()}
    return {
        "case_id": case_id,
        "kind": kind,
        "from_severity": before.placement.severity if before else None,
        "to_severity": placement.severity,
        "from_lane": before.placement.lane if before else None,
        "to_lane": placement.lane,
        "from_state": before.state if before else None,
        "to_state": state,
        "policy_id": cause.policy_id,
        "release_id": cause.release_id,
        "image_ids": [str(image_id) for image_id in cause.image_ids],
        "run_id": cause.run_id,
        "detail": {"previous_release_ids": previous} if previous else {},
    }

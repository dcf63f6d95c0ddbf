"""The rows of a new case: the case itself, and its images in the queue of pending images."""

from datetime import datetime
from typing import Any
from uuid import UUID

from dermtriage.cases.placement import place_new
from dermtriage.core.enums import CaseState, Priority, Scoring
from dermtriage.core.ids import new_id
from dermtriage.models import Case, Image, PendingImage
from dermtriage.triage.case_severity import ImageStatus
from dermtriage.triage.policy import Policy


def new_case(
    policy: Policy, clinic_id: UUID, fields: dict[str, Any], images: list[Image], now: datetime
) -> Case:
    """Return the row of a new case, placed by the policy.

    Parameters
    ----------
    fields
        The columns that the referral sets, `priority` among them.
    """
    statuses = [ImageStatus(image.scoring) for image in images]
    placement = place_new(statuses, fields["priority"], now, policy)
    case_id = new_id()
    for image in images:
        image.case_id = case_id
    return Case(
        id=case_id,
        clinic_id=clinic_id,
        received_at=now,
        changed_at=now,
        state=CaseState.OPEN,
        severity=placement.severity,
        latest_severity=placement.severity,
        lane=placement.lane,
        due_at=placement.due_at,
        ages_at=placement.ages_at,
        images=images,
        **fields,
    )


def pending_images(case: Case) -> list[PendingImage]:
    """Return the rows that queue a case's images for scoring."""
    return [
        PendingImage(
            image_id=image.id,
            case_id=case.id,
            # The rank of the priority itself, not of its lane: `stat` and `asap` share a lane, and
            # any `stat` is scored before a backlog of `asap`.
            priority_rank=list(Priority).index(case.priority),
            due_at=case.due_at,
        )
        for image in case.images
        if image.scoring is Scoring.PENDING
    ]

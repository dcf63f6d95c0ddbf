"""Apply a policy to stored cases: what each case would change to. Nothing is written.

**Thresholds.** An image's severity comes from the assessment by which it is triaged. Thresholds fit
the scores of one release: those of the new policy apply to the active release's assessments, and
the assessments of a replaced release keep the thresholds of its own last policy
(`policy_of_release`). Due intervals, working days and holidays are the new policy's for all cases.

**Open cases** change as by `place_again`: severities only rise, due times are kept, and lanes are
aged again by the new intervals.

**Lowering** an open case needs permission (`allow_down`). It happens in two ways:

- Its severity falls: the images' severities under the new policy are less urgent, and the case's
  severity came from its images (`severity` equals `latest_severity`). A case that an earlier score
  raised above its images stays, since the new policy was not applied to that score. The lowered
  case is due as its new lane says from receipt, and never earlier than before.
- Its lane falls, because it has aged less under the new intervals. Its due time is kept.

**Decided cases** may be recalled, as by `reconsider`. Withdrawn cases stay as they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from uuid import UUID

from sqlalchemy.orm import Session

from dermtriage.cases.decisions import current_decisions
from dermtriage.cases.placement import (
    CaseStatus,
    Placement,
    Transition,
    may_be_recalled,
    reconsider,
    without_lowering,
)
from dermtriage.core.enums import CaseState, Severity
from dermtriage.models import Decision
from dermtriage.releases.queries import active_policy, policy_of_release
from dermtriage.retriage.stored_cases import StoredCase, StoredImage
from dermtriage.triage.case_severity import ImageStatus, case_severity, more_urgent
from dermtriage.triage.due_times import due_after
from dermtriage.triage.image_severity import triage_image
from dermtriage.triage.lanes import aged_lane, base_lane
from dermtriage.triage.policy import Policy


@dataclass(frozen=True, slots=True)
class ReplayedCase:
    """A case, and what the replayed policy changes it to.

    Attributes
    ----------
    latest_severity
        By all of its images under the policy.
    image_severities
        The new severities of the images whose severity changes.
    recalled_decision_id
        The decision that is recalled, if the case is.
    """

    case: StoredCase
    latest_severity: Severity
    transition: Transition
    image_severities: Sequence[tuple[StoredImage, Severity]]
    recalled_decision_id: UUID | None


def replay_policy(
    session: Session,
    cases: Sequence[StoredCase],
    policy: Policy,
    now: datetime,
    *,
    allow_down: bool,
) -> list[ReplayedCase]:
    """Apply a policy to all cases that are not withdrawn.

    Parameters
    ----------
    policy
        The active one, or one that may replace it.
    allow_down
        Whether open cases may be lowered.
    """
    cases = [case for case in cases if case.status.state is not CaseState.WITHDRAWN]
    policy_for_release = _policies_by_release(session, policy)
    images = [_image_severities(case, policy_for_release) for case in cases]
    latest = [
        case_severity([ImageStatus(image.scoring, severity) for image, severity in of_case])
        for of_case in images
    ]
    recallable = [
        case.id
        for case, severity in zip(cases, latest, strict=True)
        if may_be_recalled(case.status, severity)
    ]
    decisions = current_decisions(session, recallable)
    return [
        _replay_case(
            case, of_case, severity, decisions.get(case.id), policy, now, allow_down=allow_down
        )
        for case, of_case, severity in zip(cases, images, latest, strict=True)
    ]


def _policies_by_release(session: Session, policy: Policy) -> Callable[[int], Policy]:
    """Return the function from a release's id to the policy for its assessments."""
    active_id, _ = active_policy(session)

    @cache
    def policy_for_release(release_id: int) -> Policy:
        version_id, own = policy_of_release(session, release_id)
        return policy if version_id == active_id else own

    return policy_for_release


def _image_severities(
    case: StoredCase, policy_for_release: Callable[[int], Policy]
) -> list[tuple[StoredImage, Severity | None]]:
    return [
        (
            image,
            image.severity
            if image.finding is None or image.release_id is None
            else triage_image(image.finding, policy_for_release(image.release_id)).severity,
        )
        for image in case.images
    ]


def _replay_case(
    case: StoredCase,
    images: Sequence[tuple[StoredImage, Severity | None]],
    latest: Severity,
    decision: Decision | None,
    policy: Policy,
    now: datetime,
    *,
    allow_down: bool,
) -> ReplayedCase:
    transition = reconsider(case.status, latest, decision, policy, now)
    lowered = _lowered_placement(case.status, transition, latest, policy, now)
    if lowered is not None and allow_down:
        transition = replace(transition, placement=lowered, kind="lowered")
    else:
        transition = without_lowering(case.status, transition)
    return ReplayedCase(
        case,
        latest,
        transition,
        [(image, new) for image, new in images if new and new is not image.severity],
        decision.id if decision and transition.kind == "recalled" else None,
    )


def _lowered_placement(
    status: CaseStatus, transition: Transition, latest: Severity, policy: Policy, now: datetime
) -> Placement | None:
    """Return the placement of an open case that the policy lowers; None if it lowers nothing."""
    before, after = status.placement, transition.placement
    # An unscored case waits for its first score, which no policy gives it.
    if status.state is not CaseState.OPEN or before.severity is Severity.UNSCORED:
        return None
    if before.severity is status.latest_severity and more_urgent(before.severity, latest):
        base = base_lane(latest, status.priority)
        aged = aged_lane(status.received_at, now, base, policy)
        due_at = due_after(status.received_at, base, status.priority, policy)
        return Placement(latest, aged.lane, max(before.due_at, due_at), aged.next_at)
    return after if after.lane > before.lane else None

"""What another policy makes of stored cases; nothing is scored, and nothing written.

**Which policy.** A photograph's severity comes from the assessment that triaged it. Thresholds fit
the scores of one release, so the new ones judge what the active release said; what a release said
that has been replaced keeps the thresholds that went with it (`releases.policy_of_release`). Due
intervals, working days and the like are the new policy's for all.

**Open cases** move by `triage.place_again`: severities only rise, a due time that stands is kept,
and lanes are counted again from the new intervals.

**Lowered** is an open case in one of two ways, and neither happens without leave:

- Its severity is what its photographs make it (`severity` is `latest_severity`), and under the new
  policy they make it less urgent. A case that stands above its photographs was put there by an
  earlier score, of which the new policy says nothing, and stays. What is lowered is due as its
  new lane has it from receipt, and never earlier than before.
- Its lane falls, because under the new intervals it has aged less. Its due time stays.

**Decided cases** may be recalled, by the rules of `placement`. Withdrawn ones stay as they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache

from sqlalchemy.orm import Session

from dermtriage.cases.decisions import current_decisions
from dermtriage.cases.placement import (
    CaseStatus,
    Placement,
    Transition,
    may_be_recalled,
    reconsider,
)
from dermtriage.core.enums import CaseState, Severity
from dermtriage.releases.queries import active_policy, policy_of_release
from dermtriage.retriage.bulk_io import Change, StoredCase, StoredImage
from dermtriage.triage.case_severity import ImageStatus, case_severity, more_urgent
from dermtriage.triage.due_times import due_after
from dermtriage.triage.image_severity import triage_image
from dermtriage.triage.lanes import aged_lane, base_lane
from dermtriage.triage.policy import Policy

Thresholds = Callable[[int], Policy]
"""By release the policy whose thresholds judge what it said."""


def replay_policy(
    session: Session, cases: Sequence[StoredCase], policy: Policy, now: datetime, *, lower: bool
) -> list[Change]:
    """Say of each case that is not withdrawn what a policy makes of it.

    Parameters
    ----------
    policy
        The active one, or what is to take its place.
    lower
        Whether open cases may be lowered; otherwise they stay where they would be.
    """
    cases = [case for case in cases if case.standing.state is not CaseState.WITHDRAWN]
    thresholds = _thresholds(session, policy)
    judged = [_severities(case, thresholds) for case in cases]
    latest = [
        case_severity([ImageStatus(image.scoring, severity) for image, severity in images])
        for images in judged
    ]
    decisions = current_decisions(
        session,
        [
            case.id
            for case, severity in zip(cases, latest, strict=True)
            if may_be_recalled(case.standing, severity)
        ],
    )
    changes = []
    for case, images, severity in zip(cases, judged, latest, strict=True):
        decision = decisions.get(case.id)
        verdict = reconsider(case.standing, severity, decision, policy, now)
        if case.standing.state is CaseState.OPEN:
            verdict = _checked(case.standing, verdict, severity, policy, now, lower=lower)
        changes.append(
            Change(
                case,
                severity,
                verdict,
                [(image, new) for image, new in images if new and new is not image.severity],
                decision.id if decision and verdict.kind == "recalled" else None,
            )
        )
    return changes


def _thresholds(session: Session, policy: Policy) -> Thresholds:
    active_id, _ = active_policy(session)

    @cache
    def of(release_id: int) -> Policy:
        version_id, own = policy_of_release(session, release_id)
        return policy if version_id == active_id else own

    return of


def _severities(
    case: StoredCase, thresholds: Thresholds
) -> list[tuple[StoredImage, Severity | None]]:
    return [
        (
            image,
            image.severity
            if image.finding is None or image.release_id is None
            else triage_image(image.finding, thresholds(image.release_id)).severity,
        )
        for image in case.images
    ]


def _checked(
    standing: CaseStatus,
    verdict: Transition,
    latest: Severity,
    policy: Policy,
    now: datetime,
    *,
    lower: bool,
) -> Transition:
    """Lower an open case that the policy lowers, or keep it from falling."""
    before, after = standing.place, verdict.place
    if before.severity is Severity.UNSCORED:
        # Its first score sets it, and no policy scores anything.
        return verdict
    if before.severity is standing.latest_severity and more_urgent(before.severity, latest):
        lowered = _lowered(standing, latest, policy, now)
    elif after.lane > before.lane:
        lowered = after
    else:
        return verdict
    if lower:
        return replace(verdict, place=lowered, kind="lowered")
    kept = replace(after, lane=min(before.lane, after.lane))
    moved = (kept.severity, kept.lane) != (before.severity, before.lane)
    return replace(verdict, place=kept, kind=verdict.kind if moved else None)


def _lowered(standing: CaseStatus, severity: Severity, policy: Policy, now: datetime) -> Placement:
    lane = base_lane(severity, standing.priority)
    aged = aged_lane(standing.received_at, now, lane, policy)
    due_at = due_after(standing.received_at, lane, standing.priority, policy)
    return Placement(severity, aged.lane, max(standing.place.due_at, due_at), aged.next_at)

"""Hypothesis strategies for cases and for changes of a policy."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.factories import NEXT_MONDAY

from dermtriage.core.enums import CaseState, ImageType, Outcome, Priority, Scoring, Severity
from dermtriage.core.ids import new_id
from dermtriage.models import (
    Assessment,
    Case,
    Clinic,
    Clinician,
    Decision,
    Image,
    PendingImage,
    TriageEvent,
)
from dermtriage.releases.queries import active_policy, active_release, policy_of_release
from dermtriage.triage.case_severity import ImageStatus, case_severity, open_severity
from dermtriage.triage.due_times import due_after
from dermtriage.triage.image_severity import Finding, triage_image
from dermtriage.triage.lanes import aged_lane, base_lane

shares = st.integers(0, 20).map(lambda twentieth: twentieth / 20)
"""Coarse, so that scores often equal thresholds, and lose no digits when they are stored."""

drawn_images = st.fixed_dictionaries(
    {
        "scoring": st.sampled_from([*[Scoring.SCORED] * 4, Scoring.PENDING, Scoring.FAILED]),
        "finding": st.builds(Finding, shares, shares, st.none() | shares),
        "by_old_release": st.booleans(),
    }
)
drawn_cases = st.fixed_dictionaries(
    {
        "images": st.lists(drawn_images, min_size=1, max_size=3),
        "earlier": st.sampled_from([None, None, *Severity]),
        "priority": st.sampled_from(Priority),
        "age": st.floats(0, 12),
        "outcome": st.sampled_from([None, None, None, *Outcome]),
        "withdrawn": st.sampled_from([False, False, False, True]),
        "seen": st.sampled_from(Severity),
        "recalled": st.booleans(),
    }
)


@st.composite
def policy_changes(draw: st.DrawFn) -> dict[str, Any]:
    lower, upper = sorted((draw(shares), draw(shares)))
    changes: dict[str, Any] = {"lower": lower, "upper": upper}
    if draw(st.booleans()):
        changes["disagreement"] = draw(shares)
    if draw(st.booleans()):
        changes["out_of_scope"] = draw(st.none() | shares)
    if draw(st.booleans()):
        days = draw(st.lists(st.integers(1, 8), min_size=4, max_size=4))
        changes["due_working_days"] = sorted(days)
    if draw(st.booleans()):
        changes["workdays"] = sorted(draw(st.sets(st.integers(0, 6), min_size=1)))
    return changes


def add_case(session: Session, drawn: Mapping[str, Any], old_release_id: int) -> UUID:
    """Add a case, placed by the active policy and those of replaced releases."""
    policy_id, policy = active_policy(session)
    case_id, received_at = new_id(), NEXT_MONDAY - timedelta(days=drawn["age"])
    images, statuses = [], []
    for position, one in enumerate(drawn["images"]):
        release_id = old_release_id if one["by_old_release"] else active_release(session).id
        scored = one["scoring"] is Scoring.SCORED
        own = policy_of_release(session, release_id)[1]
        severity = triage_image(one["finding"], own).severity if scored else None
        statuses.append(ImageStatus(one["scoring"], severity))
        image = Image(
            id=new_id(),
            case_id=case_id,
            position=position,
            image_type=ImageType.DERMOSCOPIC,
            media_type="image/jpeg",
            sha256=bytes(32),
            byte_size=1,
            width=1,
            height=1,
            scoring=one["scoring"],
            severity=severity,
            release_id=release_id if scored else None,
        )
        images.append(image)
    latest = case_severity(statuses)
    severity = open_severity(drawn["earlier"] or latest, latest)
    base = base_lane(severity, drawn["priority"])
    aged = aged_lane(received_at, NEXT_MONDAY, base, policy)
    outcome = drawn["outcome"]
    state = CaseState.OPEN
    if outcome is not None:
        state = CaseState.AWAITING_RETAKE if outcome is Outcome.RETAKE else CaseState.DECIDED
    elif drawn["withdrawn"]:
        state = CaseState.WITHDRAWN
    session.add(
        Case(
            id=case_id,
            clinic_id=session.scalars(select(Clinic.id)).first(),
            received_at=received_at,
            priority=drawn["priority"],
            state=state,
            severity=severity,
            latest_severity=latest,
            lane=aged.lane,
            due_at=due_after(received_at, base, drawn["priority"], policy),
            ages_at=aged.next_at,
            changed_at=received_at,
        )
    )
    session.flush()
    session.add_all(images)
    session.flush()
    for image, one in zip(images, drawn["images"], strict=True):
        if image.scoring is Scoring.PENDING:
            # A withdrawn case's images are not in the queue.
            if state is not CaseState.WITHDRAWN:
                session.add(
                    PendingImage(
                        image_id=image.id, case_id=case_id, priority_rank=3, due_at=NEXT_MONDAY
                    )
                )
        elif image.scoring is Scoring.SCORED:
            finding = one["finding"]
            session.add(
                Assessment(
                    release_id=image.release_id,
                    image_id=image.id,
                    p_severe=finding.p_severe,
                    probabilities=[0.0] * 7,
                    disagreement=finding.disagreement,
                    out_of_scope=finding.out_of_scope,
                    members={},
                    quality={},
                    inputs={},
                    device="cpu",
                )
            )
    if outcome is not None:
        session.add(
            Decision(
                case_id=case_id,
                clinician_id=session.scalars(select(Clinician.id)).first(),
                outcome=outcome,
                severity_at_decision=drawn["seen"],
                triage_version=0,
                claim_token=1,
                recalled_at=received_at if drawn["recalled"] else None,
            )
        )
    session.add(
        TriageEvent(
            case_id=case_id,
            kind="received",
            to_severity=severity,
            to_lane=aged.lane,
            to_state=state,
            policy_id=policy_id,
        )
    )
    session.flush()
    return case_id

"""Steps of policies: adopt one, triage stored assessments by it, read what changed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import MONDAY

from dermtriage.core.enums import Scoring, Severity
from dermtriage.intake.receipts import Receipt
from dermtriage.models import (
    Case,
    PendingImage,
    PolicyVersion,
    TriageEvent,
)
from dermtriage.releases.activation import activate_release, add_release
from dermtriage.retriage.adoption import AdoptedPolicy, adopt_policy
from dermtriage.retriage.batches import retriage_cases
from dermtriage.retriage.tally import Tally

STRICTER = {"lower": 0.05, "upper": 0.35}
"""With it, LOW is indeterminate and INDETERMINATE severe."""

LAXER = {"lower": 0.5, "upper": 0.95}
"""With it, INDETERMINATE is low and SEVERE indeterminate."""

PERMISSION: dict[str, Any] = {"allow_down": True, "reason": "too many alarms"}


def adopt(session: Session, changes: Mapping[str, Any], **options: Any) -> AdoptedPolicy:
    defaults = {"actor": "m.okafor", "reason": None, "allow_down": False, "now": MONDAY}
    return adopt_policy(session, changes, **defaults | options)


def apply(
    session: Session,
    changes: Mapping[str, Any],
    *,
    now: datetime = MONDAY,
    limit: int = 2,
    **options: Any,
) -> Tally:
    """Adopt a policy and triage everything again, in one transaction."""
    adopted = adopt(session, changes, now=now, **options)
    tally, last = Tally(), None
    while True:
        batch = retriage_cases(
            session,
            policy_id=adopted.policy_id,
            after=last,
            allow_down=options.get("allow_down", False),
            now=now,
            limit=limit,
        )
        tally.add(batch.tally)
        if batch.last is None:
            return tally
        last = batch.last


def scored_case(
    session: Session, clinic_id: UUID, *scores: float, images: int = 0, **fields: Any
) -> Receipt:
    receipt = factories.receive(session, clinic_id, images=images or len(scores), **fields)
    for image_id, p_severe in zip(receipt.pending_image_ids, scores, strict=False):
        factories.score(session, image_id, p_severe)
    session.flush()
    return receipt


def placement_of(session: Session, receipt: Receipt) -> tuple[Severity, Severity, int, datetime]:
    case = factories.case(session, receipt)
    return case.severity, case.latest_severity, case.lane, case.due_at


def last_event(session: Session, receipt: Receipt) -> TriageEvent:
    return factories.events(session, receipt)[-1]


def changed_severities(tally: Tally) -> dict[tuple[str, str], int]:
    """Return the numbers of open cases whose severity changed."""
    return {pair: count for pair, count in tally.transitions.items() if pair[0] != pair[1]}


def stored_state(session: Session) -> list[tuple[Any, ...]]:
    """Return everything that a policy could change."""
    cases = select(*Case.__table__.c).order_by(Case.id)
    events = select(*TriageEvent.__table__.c).order_by(TriageEvent.id)
    policies = select(*PolicyVersion.__table__.c).order_by(PolicyVersion.id)
    return [tuple(row) for query in (cases, events, policies) for row in session.execute(query)]


def replace_release(session: Session, name: str = "next", **thresholds: float) -> None:
    """Activate another release."""
    proposed = {"lower": 0.3, "upper": 0.6, "disagreement": 0.5, "out_of_scope": None}
    add_release(
        session, name=name, manifest={"thresholds": proposed | thresholds}, sha256=bytes(32)
    )
    activate_release(
        session, name=name, minimum_sensitivity=0, actor="m.okafor", override_reason="test"
    )
    session.flush()


def rescore(session: Session, receipt: Receipt, p_severe: float) -> None:
    """Score the first image once more, with a release that replaces the active one."""
    replace_release(session)
    image = factories.image(session, receipt.pending_image_ids[0])
    image.scoring, image.severity = Scoring.PENDING, None
    session.add(
        PendingImage(image_id=image.id, case_id=image.case_id, priority_rank=0, due_at=MONDAY)
    )
    session.flush()
    factories.score(session, image.id, p_severe)
    session.flush()

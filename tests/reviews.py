"""Claims and decisions of clinicians, each by one call."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.factories import MONDAY

from dermtriage.core.enums import Outcome
from dermtriage.core.errors import Conflict
from dermtriage.intake.receipts import Receipt
from dermtriage.models import AuditEntry, Decision, ReviewClaim
from dermtriage.review import claims, decisions

LIFETIME = 900.0
"""Seconds until a claim expires."""

EXPIRED = MONDAY + timedelta(seconds=LIFETIME)
"""The moment at which a claim of Monday morning expires."""


def claim_next(session: Session, clinician_id: UUID, **changes: Any) -> UUID | None:
    values = {"clinician_id": clinician_id, "now": MONDAY, "lifetime": LIFETIME} | changes
    claim = claims.claim_next(session, **values)
    return claim.case_id if claim else None


def claim(session: Session, receipt: Receipt, clinician_id: UUID, **changes: Any) -> ReviewClaim:
    values = {"case_id": receipt.case_id, "clinician_id": clinician_id}
    return claims.claim_case(session, **values | {"now": MONDAY, "lifetime": LIFETIME} | changes)


def decide(session: Session, claimed: ReviewClaim, **changes: Any) -> Decision:
    values: dict[str, Any] = {
        "case_id": claimed.case_id,
        "clinician_id": claimed.clinician_id,
        "token": claimed.token,
        "triage_version": 0,
        "outcome": Outcome.REFER_ROUTINE,
        "now": MONDAY,
    }
    return decisions.decide(session, **values | changes)


def conflict_code(call: Callable[[], object]) -> str:
    """Return the code of the conflict that a call has to raise."""
    with pytest.raises(Conflict) as conflict:
        call()
    assert conflict.value.remedy
    return conflict.value.code


def audited_actions(session: Session, receipt: Receipt) -> list[tuple[str, UUID | None]]:
    """Return the actions of clinicians on a case in the audit log, with their ids."""
    entries = session.scalars(
        select(AuditEntry)
        .where(AuditEntry.case_id == receipt.case_id, AuditEntry.actor_kind == "clinician")
        .order_by(AuditEntry.id)
    )
    return [(entry.action, entry.actor_id) for entry in entries]

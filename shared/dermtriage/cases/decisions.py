"""The decisions that stand."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from dermtriage.models import Decision


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

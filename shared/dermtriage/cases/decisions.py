"""Current decisions: those that no later decision of the same case supersedes."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from dermtriage.models import Decision


def current_decisions(session: Session, case_ids: Collection[UUID]) -> dict[UUID, Decision]:
    """Return the current decision of each case that has one."""
    later = aliased(Decision)
    current = select(Decision).where(
        Decision.case_id.in_(case_ids),
        ~select(later.id).where(later.supersedes_id == Decision.id).exists(),
    )
    return {decision.case_id: decision for decision in session.scalars(current)}


def current_decision(session: Session, case_id: UUID) -> Decision | None:
    """Return the current decision of a case, if it has one."""
    return current_decisions(session, [case_id]).get(case_id)

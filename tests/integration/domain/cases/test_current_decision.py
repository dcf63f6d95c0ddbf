"""The current decision of a case."""

from uuid import UUID

from sqlalchemy.orm import Session
from tests import factories

from dermtriage.cases.decisions import current_decision
from dermtriage.core.enums import (
    Outcome,
)
from dermtriage.models import Decision


def test_the_current_decision_is_the_one_that_none_supersedes(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    assert current_decision(session, receipt.case_id) is None
    made: list[Decision] = [
        factories.decide(session, receipt.case_id, clinician_id, outcome)
        for outcome in (Outcome.REFER_ROUTINE, Outcome.RETAKE, Outcome.REFER_URGENT)
    ]
    assert current_decision(session, receipt.case_id) is made[-1]

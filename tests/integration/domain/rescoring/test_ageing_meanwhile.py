"""A recorded batch only ever raises cases."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.factories import LOW
from tests.runs import activate, add_scored_case, lease_chunk, plan_run, score_chunk

from dermtriage.cases import ageing
from dermtriage.models import Case, TriageEvent


def test_a_batch_with_an_earlier_time_does_not_lower_a_case_that_has_aged(
    session: Session, clinic_id: UUID
) -> None:
    case_id = add_scored_case(session, clinic_id, LOW)
    activate(session)
    run = plan_run(session)
    chunk = lease_chunk(session)
    ages_at = session.get_one(Case, case_id, populate_existing=True).ages_at
    assert ages_at is not None
    # The time was taken before the transaction waited for the lock on the case.
    before = ages_at - timedelta(seconds=1)
    assert ageing.age_cases(session, now=ages_at) == 1
    assert session.get_one(Case, case_id, populate_existing=True).lane == 2
    assert score_chunk(session, chunk, LOW, now=before).raised_image_ids == []
    assert session.get_one(Case, case_id, populate_existing=True).lane == 2
    events = session.scalars(select(TriageEvent).where(TriageEvent.run_id == run.id)).all()
    assert events == []
    # It goes on ageing as before.
    ageing.age_cases(session, now=ages_at + timedelta(days=7))
    assert session.get_one(Case, case_id, populate_existing=True).lane == 1

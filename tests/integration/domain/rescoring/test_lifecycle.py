"""A run that is paused or has ended stays so, whatever its workers are still scoring."""

from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests.factories import LOW, MONDAY
from tests.runs import (
    activate,
    add_scored_case,
    find_or_add_release,
    finish_and_report,
    lease_chunk,
    list_remaining_images,
    plan_run,
    record_severe,
    score_chunk,
    start_and_wait_until_blocked,
)

from dermtriage.core.enums import RunState, Severity
from dermtriage.core.errors import RequestRejected
from dermtriage.models import MAX_REASON, Assessment, Case, RescoreFailure
from dermtriage.rescoring import failures, lifecycle
from dermtriage.rescoring.recording import RecordedBatch


def test_a_cancelled_run_writes_nothing_more(session: Session, clinic_id: UUID) -> None:
    case_id = add_scored_case(session, clinic_id, LOW)
    activate(session)
    run = plan_run(session)
    chunk = lease_chunk(session)
    work = list_remaining_images(session, chunk)
    lifecycle.cancel(session, run.id, reason="requested by the test", now=MONDAY)
    assert record_severe(session, chunk, work) == RecordedBatch()
    failures.exclude_image(session, chunk, work[0].lease.image_id, reason="It cannot be decoded.")
    assert session.get_one(Case, case_id, populate_existing=True).severity is Severity.LOW
    assert session.scalars(select(RescoreFailure)).all() == []
    by_release = (
        select(func.count()).select_from(Assessment).where(Assessment.release_id == run.release_id)
    )
    assert session.scalar(by_release) == 0
    report = finish_and_report(session, run.id)
    assert (report.scored, report.upgrades, report.failed) == (0, 0, 0)


def test_a_batch_that_is_being_written_when_its_run_is_cancelled_is_in_the_report(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        add_scored_case(session, clinic_id, LOW)
        activate(session)
        run_id = plan_run(session).id
        chunk = lease_chunk(session)

    def cancel() -> object:
        with sessions.begin() as other:
            lifecycle.cancel(other, run_id, reason="requested by the test", now=MONDAY)
            return finish_and_report(other, run_id).scored

    with sessions.begin() as session:
        assert score_chunk(session, chunk, LOW).images == 1
        future = start_and_wait_until_blocked(sessions, cancel)
    assert future.result(20) == 1


@pytest.mark.parametrize("reason", ["", " ", "x" * (MAX_REASON + 1)])
def test_a_reason_that_cannot_be_kept_is_refused(
    session: Session, clinic_id: UUID, reason: str
) -> None:
    add_scored_case(session, clinic_id, LOW)
    find_or_add_release(session)
    run = plan_run(session)
    with pytest.raises(RequestRejected, match="1 to 500 characters"):
        lifecycle.pause(session, run.id, reason=reason)
    with pytest.raises(RequestRejected, match="1 to 500 characters"):
        lifecycle.cancel(session, run.id, reason=reason, now=MONDAY)
    assert run.state is RunState.PLANNED


def test_a_long_reason_does_not_keep_a_run_from_failing(session: Session, clinic_id: UUID) -> None:
    add_scored_case(session, clinic_id, LOW)
    find_or_add_release(session)
    run = plan_run(session)
    lifecycle.fail(session, run.id, reason="x" * (MAX_REASON + 1), now=MONDAY)
    session.flush()
    assert run.reason == "x" * MAX_REASON


def test_a_batch_that_is_being_scored_when_its_run_is_paused_is_written(
    session: Session, clinic_id: UUID
) -> None:
    case_id = add_scored_case(session, clinic_id, LOW)
    activate(session)
    run = plan_run(session)
    chunk = lease_chunk(session)
    work = list_remaining_images(session, chunk)
    lifecycle.pause(session, run.id, reason="maintenance")
    assert record_severe(session, chunk, work).images == 1
    assert session.get_one(Case, case_id, populate_existing=True).severity is Severity.SEVERE

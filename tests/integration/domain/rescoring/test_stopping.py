"""A run that is interrupted, paused or cancelled continues where it was, or not at all."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import LOW, MONDAY, SEVERE
from tests.runs import (
    activate,
    add_scored_case,
    finish_and_report,
    lease_chunk,
    list_remaining_images,
    plan_run,
    score_chunk,
)

from dermtriage.core.enums import RunState
from dermtriage.core.errors import Conflict, NotFound
from dermtriage.models import (
    Case,
    RescoreFailure,
)
from dermtriage.rescoring import chunk_leases, failures, lifecycle, recording, runs
from dermtriage.rescoring.recording import RecordedBatch
from dermtriage.rescoring.remaining_images import remaining_images
from dermtriage.rescoring.scope import Scope


def get(session: Session, case_id: UUID) -> Case:
    return session.get_one(Case, case_id, populate_existing=True)


def test_a_dead_worker_s_chunk_is_continued_by_another(session: Session, clinic_id: UUID) -> None:
    for _ in range(3):
        add_scored_case(session, clinic_id, LOW)
    activate(session)
    run = plan_run(session)
    dead = lease_chunk(session)
    assert chunk_leases.acquire(session, worker_id=uuid4(), lease_seconds=60) is None
    first, *rest = list_remaining_images(session, dead)
    recording.record(
        session,
        dead,
        [factories.result(first.lease, SEVERE)],
        [],
        device="cpu",
        now=MONDAY,
        recall_share=1.0,
    )
    session.execute(text("UPDATE rescore_chunks SET lease_expires_at = now()"))
    successor = lease_chunk(session)
    assert (successor.number, successor.attempts) == (dead.number, 1)
    assert (dead.suspect, successor.suspect) == (False, True)
    assert [one.lease.image_id for one in list_remaining_images(session, successor)] == [
        one.lease.image_id for one in rest
    ]
    # The token fences what the dead one writes after all.
    assert remaining_images(session, dead, 10) is None
    late = [factories.result(rest[0].lease, LOW)]
    written = recording.record(session, dead, late, [], device="cpu", now=MONDAY, recall_share=1.0)
    assert written == RecordedBatch()
    score_chunk(session, successor, SEVERE)
    chunk_leases.complete(session, successor)
    assert finish_and_report(session, run.id).scored == 3


def test_a_paused_run_waits_and_goes_on(session: Session, clinic_id: UUID) -> None:
    add_scored_case(session, clinic_id, LOW)
    activate(session)
    run = plan_run(session)
    chunk = lease_chunk(session)
    lifecycle.pause(session, run.id, reason="requested")
    assert remaining_images(session, chunk, 10) is None
    chunk_leases.release(session, chunk)
    assert chunk_leases.count_available(session, 10) == 0
    assert chunk_leases.acquire(session, worker_id=uuid4(), lease_seconds=60) is None
    assert lifecycle.finish_completed(session, now=MONDAY) == []
    with pytest.raises(Conflict, match="is paused"):
        lifecycle.pause(session, run.id, reason="again")
    lifecycle.resume(session, run.id)
    assert chunk_leases.count_available(session, 10) == 1
    again = lease_chunk(session)
    assert again.attempts == 1
    assert score_chunk(session, again, LOW).images == 1


def test_a_run_that_was_paused_before_it_began_has_a_beginning(
    session: Session, clinic_id: UUID
) -> None:
    add_scored_case(session, clinic_id, LOW)
    activate(session)
    run = plan_run(session)
    lifecycle.pause(session, run.id, reason="requested")
    lifecycle.resume(session, run.id)
    lease_chunk(session)
    session.refresh(run)
    assert (run.state, run.started_at is not None) == (RunState.RUNNING, True)


def test_going_on_after_another_pause_confirms_no_recalls(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    for _ in range(12):
        factories.decide(session, add_scored_case(session, clinic_id, LOW), clinician_id)
    activate(session)
    run = plan_run(session, Scope(kind="all"))
    lifecycle.pause(session, run.id, reason="maintenance")
    lifecycle.resume(session, run.id)
    assert len(score_chunk(session, lease_chunk(session), SEVERE, recall_share=0.02).recalled) == 12
    session.flush()
    session.refresh(run)
    assert (run.state, run.recalls_confirmed) == (RunState.PAUSED, False)
    lifecycle.resume(session, run.id)
    assert (run.state, run.recalls_confirmed) == (RunState.RUNNING, True)


def test_a_cancelled_run_keeps_what_it_did(session: Session, clinic_id: UUID) -> None:
    case_ids = [add_scored_case(session, clinic_id, LOW) for _ in range(2)]
    activate(session)
    run = plan_run(session, size=1)
    chunk = lease_chunk(session)
    score_chunk(session, chunk, SEVERE)
    chunk_leases.complete(session, chunk)
    lifecycle.cancel(session, run.id, reason="requested", now=MONDAY)
    assert [get(session, case_id).severity for case_id in case_ids] == ["severe", "low"]
    assert chunk_leases.acquire(session, worker_id=uuid4(), lease_seconds=60) is None
    report = finish_and_report(session, run.id)
    assert (report.state, report.scored, report.images) == (RunState.CANCELLED, 1, 2)
    with pytest.raises(Conflict, match="is cancelled"):
        lifecycle.resume(session, run.id)
    with pytest.raises(Conflict, match="is cancelled"):
        lifecycle.cancel(session, run.id, reason="again", now=MONDAY)


def test_many_recalls_stop_a_run_until_someone_confirms(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    for _ in range(14):
        factories.decide(session, add_scored_case(session, clinic_id, LOW), clinician_id)
    activate(session)
    run = plan_run(session, Scope(kind="all"), size=12)
    chunk = lease_chunk(session)
    assert len(score_chunk(session, chunk, SEVERE, recall_share=0.02).recalled) == 12
    chunk_leases.complete(session, chunk)
    session.refresh(run)
    assert run.state is RunState.PAUSED
    assert "12 of at most 14" in str(run.reason)
    assert chunk_leases.acquire(session, worker_id=uuid4(), lease_seconds=60) is None
    lifecycle.resume(session, run.id)
    chunk = lease_chunk(session)
    assert len(score_chunk(session, chunk, SEVERE, recall_share=0.02).recalled) == 2
    session.refresh(run)
    assert run.state is RunState.RUNNING


def test_an_unknown_run_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound, match="no such run"):
        runs.find_run(session, uuid4())


def test_a_worker_that_lost_a_chunk_changes_nothing_of_it(
    session: Session, clinic_id: UUID
) -> None:
    add_scored_case(session, clinic_id, LOW)
    activate(session)
    plan_run(session)
    slow = lease_chunk(session)
    (work,) = list_remaining_images(session, slow)
    image_id = work.lease.image_id
    session.execute(text("UPDATE rescore_chunks SET lease_expires_at = now()"))
    successor = lease_chunk(session)
    assert not failures.mark_suspect(session, slow, image_id)
    failures.exclude_image(session, slow, image_id, reason="It cannot be decoded.")
    assert session.scalars(select(RescoreFailure)).all() == []
    assert failures.mark_suspect(session, successor, image_id)

"""A run that recalls many cases waits for an operator."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from tests import factories
from tests.conftest import RELEASE
from tests.factories import LOW, MONDAY, SEVERE
from tests.runs import (
    activate,
    add_scored_case,
    lease_chunk,
    list_remaining_images,
    plan_run,
    record_severe,
    score_chunk,
)

from dermtriage.core.enums import CaseState, RunState
from dermtriage.core.errors import Conflict
from dermtriage.core.settings import Settings
from dermtriage.models import Case, RescoreFailure, RescoreRun
from dermtriage.rescoring import chunk_leases, failures, lifecycle, planning, runs
from dermtriage.rescoring.recording import RecordedBatch
from dermtriage.rescoring.remaining_images import remaining_images
from dermtriage.rescoring.scope import Scope


def unconfirmed_run(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> tuple[RescoreRun, UUID]:
    """Return a run that is paused for its recalls, and a case that it has not scored yet."""
    *_, last = [add_scored_case(session, clinic_id, LOW) for _ in range(13)]
    for case_id in session.scalars(select(Case.id)):
        factories.decide(session, case_id, clinician_id)
    activate(session)
    run = plan_run(session, Scope(kind="all"), size=12)
    chunk = lease_chunk(session)
    assert len(score_chunk(session, chunk, SEVERE, recall_share=0.02).recalled) == 12
    chunk_leases.complete(session, chunk)
    session.flush()
    session.refresh(run)
    assert run.state is RunState.PAUSED
    return run, last


def test_a_run_paused_for_its_recalls_recalls_no_more_until_they_are_confirmed(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    cases = [add_scored_case(session, clinic_id, LOW) for _ in range(14)]
    for case_id in cases:
        factories.decide(session, case_id, clinician_id)
    activate(session)
    run = plan_run(session, Scope(kind="all"), size=12)
    first, second = lease_chunk(session), lease_chunk(session)
    unwritten = list_remaining_images(session, second)
    # As after the death of a worker: marked before it is scored.
    suspect = unwritten[0].lease.image_id
    assert failures.mark_suspect(session, second, suspect)
    assert len(score_chunk(session, first, SEVERE, recall_share=0.02).recalled) == 12
    chunk_leases.complete(session, first)
    assert record_severe(session, second, unwritten) == RecordedBatch()
    states = [
        session.get_one(Case, one.lease.case_id, populate_existing=True).state for one in unwritten
    ]
    assert states == [CaseState.DECIDED] * 2
    assert runs.find_run(session, run.id).recalls == 12
    # The worker survived it.
    assert session.scalars(select(RescoreFailure)).all() == []
    assert remaining_images(session, second, 10) is None
    chunk_leases.release(session, second)
    lifecycle.resume(session, run.id)
    again = lease_chunk(session)
    assert [one.lease.image_id for one in list_remaining_images(session, again)] == [
        one.lease.image_id for one in unwritten
    ]
    assert len(record_severe(session, again, list_remaining_images(session, again)).recalled) == 2


def test_no_other_run_bypasses_recalls_that_await_confirmation(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    run, left_out = unconfirmed_run(session, clinic_id, clinician_id)
    with pytest.raises(Conflict, match="nobody has confirmed") as refused:
        plan_run(session, Scope(kind="all"))
    assert f"dermtriage rescore resume {run.id}" in refused.value.remedy
    # Another release has nothing to do with it.
    assert plan_run(session, name=RELEASE).state is RunState.PLANNED
    lifecycle.cancel(session, run.id, reason="the release is broken", now=MONDAY)
    assert plan_run(session, Scope(kind="all")).images == 1
    assert session.get_one(Case, left_out, populate_existing=True).state is CaseState.DECIDED


def test_a_night_waits_for_recalls_to_be_confirmed(
    session: Session, clinic_id: UUID, clinician_id: UUID, settings: Settings
) -> None:
    run, _ = unconfirmed_run(session, clinic_id, clinician_id)
    session.execute(text("UPDATE release_activations SET created_at = '2026-01-01'"))
    now = datetime.fromisoformat("2026-03-04T11:07Z")
    assert planning.plan_night(session, settings, now=now) is None
    lifecycle.resume(session, run.id)
    session.flush()
    night = planning.plan_night(session, settings, now=now + timedelta(minutes=1))
    assert night is not None
    assert str(night.night) == "2026-03-04"

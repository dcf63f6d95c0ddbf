"""What a run does to cases: severity only rises, nothing is done twice or left out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import LOW, MONDAY, SEVERE
from tests.runs import (
    activate,
    add_scored_case,
    find_or_add_release,
    finish_and_report,
    lease_chunk,
    list_remaining_images,
    plan_run,
    score_all_chunks,
    score_chunk,
)

from dermtriage.core.enums import CaseState, Outcome, Priority, RunState, Severity
from dermtriage.database.engine import make_sessions
from dermtriage.models import (
    Assessment,
    Case,
    Image,
    RescoreRun,
    TriageEvent,
)
from dermtriage.operations import invariants
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import chunk_leases, failures, recording
from dermtriage.rescoring.scope import Scope


def get(session: Session, case_id: UUID) -> Case:
    return session.get_one(Case, case_id, populate_existing=True)


def of_run(session: Session, run: RescoreRun) -> Sequence[TriageEvent]:
    return session.scalars(select(TriageEvent).where(TriageEvent.run_id == run.id)).all()


def test_worse_scores_rise_and_better_ones_change_nothing(
    session: Session, clinic_id: UUID
) -> None:
    worse, better = (
        add_scored_case(session, clinic_id, LOW),
        add_scored_case(session, clinic_id, SEVERE),
    )
    before = {case_id: get(session, case_id).changed_at for case_id in (worse, better)}
    old = active_release(session).id
    new = activate(session)
    run = plan_run(session)
    assert score_all_chunks(session, lambda case_id: SEVERE if case_id == worse else LOW) == 2
    risen, stayed = get(session, worse), get(session, better)
    assert (risen.severity, risen.lane, risen.state) == (Severity.SEVERE, 0, CaseState.OPEN)
    assert (stayed.severity, stayed.latest_severity) == (Severity.SEVERE, Severity.LOW)
    assert stayed.lane == 0
    # To the clinic of the case that stayed nothing has happened.
    assert stayed.changed_at == before[better]
    assert risen.changed_at > before[worse]
    (event,) = of_run(session, run)
    assert (event.case_id, event.kind, event.release_id) == (worse, "upgraded", new.id)
    (image_id,) = event.image_ids
    assert event.detail == {"previous_release_ids": {image_id: old}}
    for release_id in (old, new.id):
        assert session.get(Assessment, (release_id, UUID(image_id))) is not None


def test_a_decided_case_is_recalled_with_its_history(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    case_id = add_scored_case(session, clinic_id, LOW)
    factories.decide(session, case_id, clinician_id, Outcome.DISCHARGE_WITH_ADVICE)
    urgent = add_scored_case(session, clinic_id, LOW)
    factories.decide(session, urgent, clinician_id, Outcome.REFER_URGENT)
    activate(session)
    run = plan_run(session, Scope(kind="all"))
    score_all_chunks(session, SEVERE)
    recalled = get(session, case_id)
    assert (recalled.state, recalled.lane) == (CaseState.OPEN, 0)
    assert recalled.recalled_at is not None
    assert get(session, urgent).state is CaseState.DECIDED
    assert [event.kind for event in of_run(session, run)] == ["recalled"]
    assert (run.recalls, run.state) == (1, RunState.RUNNING)


def test_the_same_run_again_changes_nothing(session: Session, clinic_id: UUID) -> None:
    for score in (LOW, SEVERE):
        add_scored_case(session, clinic_id, score)
    activate(session)
    plan_run(session)
    score_all_chunks(session, SEVERE)
    again = plan_run(session)
    assert (again.images, score_all_chunks(session, SEVERE)) == (0, 0)
    assert finish_and_report(session, again.id).scored == 0


def test_a_release_that_is_not_active_only_records_its_scores(
    session: Session, clinic_id: UUID
) -> None:
    case_id = add_scored_case(session, clinic_id, LOW)
    find_or_add_release(session)
    run = plan_run(session)
    score_all_chunks(session, SEVERE)
    assert get(session, case_id).severity is Severity.LOW
    assert not of_run(session, run)
    report = finish_and_report(session, run.id)
    assert (report.scored, report.triaged, report.upgrades) == (1, False, 0)
    assert report.drift.photographs == 1


def test_what_a_shadow_has_scored_triages_without_being_scored_again(
    session: Session, clinic_id: UUID
) -> None:
    case_id = add_scored_case(session, clinic_id, LOW)
    find_or_add_release(session)
    plan_run(session)
    score_all_chunks(session, SEVERE)
    activate(session)
    run = plan_run(session)
    chunk = lease_chunk(session)
    assert [one.assessed for one in list_remaining_images(session, chunk)] == [True]
    assert len(score_chunk(session, chunk, LOW).upgraded) == 1
    assert get(session, case_id).severity is Severity.SEVERE
    assert run.images == 1


SCORES = st.sampled_from([0.1, 0.4, 0.9])


@hypothesis.settings(max_examples=15, deadline=None)
@given(
    cases=st.lists(
        st.tuples(
            st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=3),
            st.sampled_from(list(Priority)),
            st.sampled_from([None, *Outcome]),
        ),
        min_size=1,
        max_size=5,
    ),
    size=st.integers(1, 4),
)
def test_a_run_moves_nothing_down_and_leaves_nothing_out(
    shared_engine: Engine, cases: Any, size: int
) -> None:
    with make_sessions(shared_engine)() as session:
        clinic_id, clinician_id = factories.clinic(session), factories.clinician(session)
        after: dict[UUID, float] = {}
        before: dict[UUID, tuple[CaseState, int, datetime]] = {}
        for images, priority, outcome in cases:
            case_id = add_scored_case(
                session, clinic_id, *(old for old, _ in images), priority=priority
            )
            if outcome is not None:
                factories.decide(session, case_id, clinician_id, outcome)
            ids = session.scalars(
                select(Image.id).where(Image.case_id == case_id).order_by(Image.position)
            )
            after |= dict(zip(ids, (new for _, new in images), strict=True))
            case = get(session, case_id)
            before[case_id] = (case.state, case.lane, case.due_at)
        new = activate(session)
        run = plan_run(session, Scope(kind="all"), size=size)
        while (
            chunk := chunk_leases.acquire(session, worker_id=uuid4(), lease_seconds=60)
        ) is not None:
            for one in list_remaining_images(session, chunk):
                results = [factories.result(one.lease, after[one.lease.image_id])]
                recording.record(
                    session, chunk, results, [], device="cpu", now=MONDAY, recall_share=1.0
                )
            chunk_leases.complete(session, chunk)
        report = finish_and_report(session, run.id)
        assert report.scored == len(after)
        assert set(
            session.scalars(select(Assessment.image_id).where(Assessment.release_id == new.id))
        ) == set(after)
        for case_id, (state, lane, due_at) in before.items():
            case = get(session, case_id)
            if state is CaseState.OPEN:
                assert case.lane <= lane
                assert case.due_at <= due_at
            elif case.state is CaseState.OPEN:
                assert case.severity is Severity.SEVERE
        assert invariants.check_invariants(session) == {}
        session.rollback()


def test_the_report_counts_what_happened(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    low = [add_scored_case(session, clinic_id, LOW) for _ in range(3)]
    middle = add_scored_case(session, clinic_id, 0.4)
    decided = add_scored_case(session, clinic_id, LOW)
    factories.decide(session, decided, clinician_id)
    activate(session)
    session.execute(text("UPDATE assessments SET created_at = '2026-01-01'"))
    run = plan_run(session, Scope(kind="all"))
    chunk = lease_chunk(session)
    broken = list_remaining_images(session, chunk)[2].lease.image_id
    failures.exclude_image(session, chunk, broken, reason="It cannot be decoded.")
    scores = {low[0]: 0.4, low[1]: SEVERE, middle: SEVERE, decided: SEVERE}
    score_chunk(session, chunk, lambda case_id: scores[case_id])
    chunk_leases.complete(session, chunk)
    report = finish_and_report(session, run.id)
    assert (report.images, report.scored, report.failed) == (5, 4, 1)
    assert (report.upgrades, report.recalls) == (3, 1)
    moves = {(one.before, one.after): one.cases for one in report.transitions}
    assert moves == {
        ("low", "indeterminate"): 1,
        ("low", "severe"): 2,
        ("indeterminate", "severe"): 1,
    }
    assert [(one.reason, one.images) for one in report.failures] == [("It cannot be decoded.", 1)]
    assert report.drift.photographs == 4
    assert report.drift.mean == pytest.approx((0.3 + 0.8 + 0.5 + 0.8) / 4, abs=1e-6)
    assert sum(report.drift.histogram) == 4
    assert get(session, low[2]).severity is Severity.LOW

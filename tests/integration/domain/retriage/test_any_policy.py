"""What holds for any cases and any policy."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.drawn_cases import add_case, drawn_cases, policy_changes
from tests.factories import NEXT_MONDAY, change_of
from tests.policies import PERMISSION, adopt, apply, replace_release, stored_state

from dermtriage.cases.events import TriageCause
from dermtriage.cases.transitions import place_case
from dermtriage.core.enums import CaseState, Severity
from dermtriage.core.errors import Conflict
from dermtriage.models import (
    Case,
    Decision,
    TriageEvent,
)
from dermtriage.operations.invariants import check_invariants
from dermtriage.releases.queries import active_policy, active_release, policy_of_release
from dermtriage.retriage.batches import preview_changes
from dermtriage.retriage.tally import Tally
from dermtriage.scoring import assessments
from dermtriage.triage.case_severity import more_urgent
from dermtriage.triage.image_severity import triage_image


def apply_case_by_case(session: Session, changes: Mapping[str, Any]) -> None:
    """Apply a policy case by case, as if the images had just been scored."""
    policy_id = adopt(session, changes, now=NEXT_MONDAY, **PERMISSION).policy_id
    _, policy = active_policy(session)
    cases = select(Case).where(Case.state != CaseState.WITHDRAWN).order_by(Case.id)
    for case in session.scalars(cases):
        triaged = []
        for image in case.images:
            stored = assessments.current_assessments(session, [image.id]).get(image.id)
            if stored is None:
                continue
            own = policy_of_release(session, stored.release_id)[1]
            severity = triage_image(assessments.finding(stored), own).severity
            if severity is not image.severity:
                image.severity = severity
                triaged.append(image)
        release_id = triaged[0].release_id if triaged else None
        cause = TriageCause(policy_id, release_id, [image.id for image in triaged])
        place_case(session, case, cause, policy, NEXT_MONDAY)
    session.flush()
    session.expire_all()


def results_by_case(session: Session, *, without: Collection[UUID]) -> dict[UUID, list[Any]]:
    """Return by case its columns, the severities of its images, and its events."""
    return {
        case.id: [
            (case.state, case.severity, case.latest_severity, case.lane, case.due_at),
            (case.ages_at, case.triage_version, case.recalled_at),
            [image.severity for image in case.images],
            [decision.recalled_at for decision in decisions_of(session, case)],
            [
                (*change_of(event), event.from_state, event.to_state, event.image_ids)
                for event in events_of(session, case)
            ],
        ]
        for case in session.scalars(select(Case).order_by(Case.id))
        if case.id not in without
    }


def decisions_of(session: Session, case: Case) -> Sequence[Decision]:
    return session.scalars(select(Decision).where(Decision.case_id == case.id)).all()


def events_of(session: Session, case: Case) -> Sequence[TriageEvent]:
    of_case = select(TriageEvent).where(TriageEvent.case_id == case.id)
    return session.scalars(of_case.order_by(TriageEvent.id)).all()


@contextmanager
def rolled_back(session: Session) -> Iterator[None]:
    """Roll back at the end what is written within."""
    savepoint = session.begin_nested()
    try:
        yield
    finally:
        savepoint.rollback()
        session.expire_all()


Placements = Mapping[UUID, tuple[Severity, Severity, int, datetime]]


def check_without_permission(
    session: Session, changes: Mapping[str, Any], previewed: Tally, placed_before: Placements
) -> None:
    """A refused policy changes nothing, and one that is not refused lowers nothing."""
    if previewed.lowered:
        before = stored_state(session)
        with pytest.raises(Conflict, match=f" {previewed.lowered} open "):
            adopt(session, changes, now=NEXT_MONDAY)
        assert stored_state(session) == before
        return
    assert apply(session, changes, now=NEXT_MONDAY) == previewed
    for case in session.scalars(select(Case).where(Case.state == CaseState.OPEN)):
        severity, _, lane, due_at = placed_before[case.id]
        assert not more_urgent(severity, case.severity)
        assert case.lane <= lane
        assert case.due_at <= due_at


def check_lowered(session: Session, placed_before: Placements) -> set[UUID]:
    """Check that only cases that the policy lowers are lowered, and return those."""
    events = select(TriageEvent.case_id).where(TriageEvent.kind == "lowered")
    lowered = set(session.scalars(events))
    for case_id in lowered:
        case = session.get_one(Case, case_id)
        severity, latest, lane, due_at = placed_before[case_id]
        assert case.state is CaseState.OPEN
        if more_urgent(severity, case.severity):
            assert severity is latest, "an earlier score had raised it"
            assert case.severity is case.latest_severity
            assert case.due_at >= due_at
        else:
            assert case.lane > lane
    return lowered


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(drawn_cases, min_size=1, max_size=5), policy_changes())
def test_any_policy_over_any_cases(
    session: Session,
    clinic_id: UUID,
    clinician_id: UUID,
    drawn: list[dict[str, Any]],
    changes: dict[str, Any],
) -> None:
    with rolled_back(session):
        old_release_id = active_release(session).id
        replace_release(session, lower=0.25, upper=0.7)
        for one in drawn:
            add_case(session, one, old_release_id)
        assert check_invariants(session) == {}, "the drawn cases are possible"
        placed_before = {
            case.id: (case.severity, case.latest_severity, case.lane, case.due_at)
            for case in session.scalars(select(Case))
        }
        previewed = preview_changes(session, changes, now=NEXT_MONDAY)
        session.expire_all()
        with rolled_back(session):
            check_without_permission(session, changes, previewed, placed_before)

        with rolled_back(session):
            assert apply(session, changes, now=NEXT_MONDAY, **PERMISSION) == previewed
            session.expire_all()
            assert check_invariants(session) == {}
            lowered = check_lowered(session, placed_before)
            assert len(lowered) == previewed.lowered
            in_bulk = results_by_case(session, without=lowered)
            # Repeated, it changes nothing.
            done = stored_state(session)
            repeated = apply(session, changes, now=NEXT_MONDAY, limit=1, **PERMISSION)
            assert (repeated.changed, repeated.cases) == (0, previewed.cases)
            assert stored_state(session) == done

        with rolled_back(session):
            apply_case_by_case(session, changes)
            assert results_by_case(session, without=lowered) == in_bulk

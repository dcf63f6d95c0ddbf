"""A report says how far the scores moved from those that counted before."""

from uuid import UUID

import pytest
from tests import factories
from tests.committed_runs import (
    FOURTH,
    SECOND,
    THIRD,
    Sessions,
    activate,
    compared,
    images_of,
    plan,
    report_of,
    score_next,
    scored,
    take,
    work_off,
)
from tests.conftest import RELEASE
from tests.factories import INDETERMINATE, LOW, SEVERE
from tests.runs import know

from dermtriage.core.clock import utcnow
from dermtriage.rescoring import chunk_leases, lifecycle
from dermtriage.rescoring.scope import Scope
from dermtriage.scoring.leases import Lease
from dermtriage.scoring.recording import insert_assessments


def test_assessments_of_a_shadow_are_compared_when_it_triages(
    sessions: Sessions, clinic_id: UUID
) -> None:
    cases = [scored(sessions, clinic_id, LOW) for _ in range(3)]
    early, *_ = images_of(sessions, cases)
    with sessions.begin() as session:
        release = know(session, SECOND)
        # As if a shadow had scored one of the three uploads.
        lease = factories.result(Lease(early, cases[0], 0, 1, {}), SEVERE)
        insert_assessments(session, [lease], release_id=release.id, device="cpu")
    activate(sessions, SECOND)
    run_id = plan(sessions, SECOND)
    assert work_off(sessions, 0.3) == 3
    report = report_of(sessions, run_id)
    assert compared(report) == {RELEASE: 3}
    assert report.drift.mean == pytest.approx((0.8 + 0.2 + 0.2) / 3, abs=1e-6)
    assert sum(report.drift.histogram) == 3


def test_a_comparison_and_the_run_that_triages_later_both_have_their_drift(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(4):
        scored(sessions, clinic_id, LOW)
    comparison = plan(sessions, SECOND)
    work_off(sessions, 0.6)
    report = report_of(sessions, comparison)
    assert (report.triaged, compared(report)) == (False, {RELEASE: 4})
    activate(sessions, SECOND)
    triaging = plan(sessions, SECOND)
    assert work_off(sessions, LOW) == 4
    report = report_of(sessions, triaging)
    assert (report.triaged, report.scored, compared(report)) == (True, 4, {RELEASE: 4})
    assert report.drift.mean == pytest.approx(0.5, abs=1e-6)


def test_a_release_that_was_replaced_before_its_night_is_not_compared_with(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(4):
        scored(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    scored(sessions, clinic_id, INDETERMINATE)
    activate(sessions, THIRD)
    run_id = plan(sessions, THIRD)
    assert work_off(sessions, SEVERE) == 5
    report = report_of(sessions, run_id)
    assert compared(report) == {RELEASE: 4, SECOND: 1}
    assert report.drift.mean == pytest.approx((4 * 0.8 + 0.5) / 5, abs=1e-6)


def test_each_photograph_is_compared_with_the_release_that_triages_it(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(3):
        scored(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    plan(sessions, SECOND)
    work_off(sessions, SEVERE)
    activate(sessions, RELEASE)
    # The first release is active again, but it triages nothing of this until its night.
    before = plan(sessions, THIRD)
    work_off(sessions, LOW)
    assert compared(report_of(sessions, before)) == {SECOND: 3}
    back = plan(sessions, RELEASE)
    work_off(sessions, SEVERE)
    assert compared(report_of(sessions, back)) == {SECOND: 3}
    after = plan(sessions, FOURTH)
    work_off(sessions, INDETERMINATE)
    report = report_of(sessions, after)
    assert compared(report) == {RELEASE: 3}
    assert report.drift.mean == pytest.approx(0.3, abs=1e-6)


def test_two_runs_at_the_same_time_are_not_mixed(sessions: Sessions, clinic_id: UUID) -> None:
    with sessions.begin() as session:
        other = factories.clinic(session, "Elsewhere")
    for number in range(6):
        scored(sessions, other if number % 2 else clinic_id, LOW)
    activate(sessions, SECOND)
    here = plan(sessions, SECOND, Scope(kind="clinic", clinic_id=clinic_id))
    there = plan(sessions, SECOND, Scope(kind="clinic", clinic_id=other))
    one, two = take(sessions), take(sessions)
    assert one is not None
    assert two is not None
    for chunk, score in ((one, SEVERE), (two, INDETERMINATE)) * 3:
        assert score_next(sessions, chunk, score, limit=1) == 1
    with sessions.begin() as session:
        for chunk in (one, two):
            chunk_leases.complete(session, chunk)
    for run_id, change in ((here, 0.8), (there, 0.3)):
        drift = report_of(sessions, run_id).drift
        assert (drift.photographs, drift.mean) == (3, pytest.approx(change, abs=1e-6))


def test_a_run_that_scores_what_earlier_runs_left_out_has_its_own_drift_only(
    sessions: Sessions, clinic_id: UUID
) -> None:
    cases = [scored(sessions, clinic_id, LOW) for _ in range(5)]
    first, *_, last = images = images_of(sessions, cases)
    comparison = plan(sessions, SECOND)
    work_off(sessions, 0.6, broken=[first, last])
    activate(sessions, SECOND)
    night = plan(sessions, SECOND)
    work_off(sessions, 0.6, broken=[first, last])
    again = plan(sessions, SECOND)
    assert work_off(sessions, SEVERE) == 2
    assert report_of(sessions, comparison).drift.photographs == len(images) - 2
    assert report_of(sessions, night).drift.photographs == len(images) - 2
    # Its one chunk reaches over all photographs, of which it scored two.
    report = report_of(sessions, again)
    assert (report.scored, report.drift.photographs) == (2, 2)
    assert report.drift.mean == pytest.approx(0.8, abs=1e-6)


def test_images_that_either_of_two_runs_may_have_scored_are_left_out(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(4):
        scored(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    runs_of_all = [plan(sessions, SECOND, Scope(kind="all")) for _ in range(2)]
    taken = [take(sessions), take(sessions)]
    for chunk in taken:
        assert chunk is not None
        assert score_next(sessions, chunk, SEVERE, limit=2) == 2
    with sessions.begin() as session:
        for chunk in taken:
            assert chunk is not None
            chunk_leases.complete(session, chunk)
    for run_id in runs_of_all:
        report = report_of(sessions, run_id)
        assert (report.scored, report.drift.photographs) == (2, 0)
        assert report.drift.mean is None


def test_a_decision_made_meanwhile_hides_no_drift(
    sessions: Sessions, clinic_id: UUID, clinician_id: UUID
) -> None:
    case_id = scored(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    run_id = plan(sessions, SECOND)
    work_off(sessions, SEVERE)
    with sessions.begin() as session:
        factories.decide(session, case_id, clinician_id)
    assert report_of(sessions, run_id).drift.photographs == 1


def test_assessments_written_after_a_run_s_end_do_not_count_as_its_work(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(2):
        scored(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    cancelled = plan(sessions, SECOND)
    chunk = take(sessions)
    assert chunk is not None
    assert score_next(sessions, chunk, SEVERE, limit=1) == 1
    with sessions.begin() as session:
        lifecycle.cancel(session, cancelled, reason="cancelled by the test", now=utcnow())
    plan(sessions, SECOND)
    assert work_off(sessions, LOW) == 1
    report = report_of(sessions, cancelled)
    assert (report.scored, report.drift.photographs) == (1, 1)
    assert report.drift.mean == pytest.approx(0.8, abs=1e-6)

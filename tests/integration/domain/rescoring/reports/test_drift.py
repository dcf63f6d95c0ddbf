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
    add_scored_case,
    compared_photographs,
    finish_and_report,
    images_of,
    lease_chunk,
    plan_run,
    score_all_chunks,
    score_next,
)
from tests.conftest import RELEASE
from tests.factories import INDETERMINATE, LOW, SEVERE
from tests.runs import find_or_add_release

from dermtriage.core.clock import utcnow
from dermtriage.rescoring import chunk_leases, lifecycle
from dermtriage.rescoring.scope import Scope
from dermtriage.scoring.leases import Lease
from dermtriage.scoring.recording import insert_assessments


def test_assessments_of_a_shadow_are_compared_when_it_triages(
    sessions: Sessions, clinic_id: UUID
) -> None:
    cases = [add_scored_case(sessions, clinic_id, LOW) for _ in range(3)]
    early, *_ = images_of(sessions, cases)
    with sessions.begin() as session:
        release = find_or_add_release(session, SECOND)
        # As if a shadow had scored one of the three uploads.
        lease = factories.result(Lease(early, cases[0], 0, 1, {}), SEVERE)
        insert_assessments(session, [lease], release_id=release.id, device="cpu")
    activate(sessions, SECOND)
    run_id = plan_run(sessions, SECOND)
    assert score_all_chunks(sessions, 0.3) == 3
    report = finish_and_report(sessions, run_id)
    assert compared_photographs(report) == {RELEASE: 3}
    assert report.drift.mean == pytest.approx((0.8 + 0.2 + 0.2) / 3, abs=1e-6)
    assert sum(report.drift.histogram) == 3


def test_a_comparison_and_the_run_that_triages_later_both_have_their_drift(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(4):
        add_scored_case(sessions, clinic_id, LOW)
    comparison = plan_run(sessions, SECOND)
    score_all_chunks(sessions, 0.6)
    report = finish_and_report(sessions, comparison)
    assert (report.triaged, compared_photographs(report)) == (False, {RELEASE: 4})
    activate(sessions, SECOND)
    triaging = plan_run(sessions, SECOND)
    assert score_all_chunks(sessions, LOW) == 4
    report = finish_and_report(sessions, triaging)
    assert (report.triaged, report.scored, compared_photographs(report)) == (True, 4, {RELEASE: 4})
    assert report.drift.mean == pytest.approx(0.5, abs=1e-6)


def test_a_release_that_was_replaced_before_its_night_is_not_compared_with(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(4):
        add_scored_case(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    add_scored_case(sessions, clinic_id, INDETERMINATE)
    activate(sessions, THIRD)
    run_id = plan_run(sessions, THIRD)
    assert score_all_chunks(sessions, SEVERE) == 5
    report = finish_and_report(sessions, run_id)
    assert compared_photographs(report) == {RELEASE: 4, SECOND: 1}
    assert report.drift.mean == pytest.approx((4 * 0.8 + 0.5) / 5, abs=1e-6)


def test_each_photograph_is_compared_with_the_release_that_triages_it(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(3):
        add_scored_case(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    plan_run(sessions, SECOND)
    score_all_chunks(sessions, SEVERE)
    activate(sessions, RELEASE)
    # The first release is active again, but it triages nothing of this until its night.
    before = plan_run(sessions, THIRD)
    score_all_chunks(sessions, LOW)
    assert compared_photographs(finish_and_report(sessions, before)) == {SECOND: 3}
    back = plan_run(sessions, RELEASE)
    score_all_chunks(sessions, SEVERE)
    assert compared_photographs(finish_and_report(sessions, back)) == {SECOND: 3}
    after = plan_run(sessions, FOURTH)
    score_all_chunks(sessions, INDETERMINATE)
    report = finish_and_report(sessions, after)
    assert compared_photographs(report) == {RELEASE: 3}
    assert report.drift.mean == pytest.approx(0.3, abs=1e-6)


def test_two_runs_at_the_same_time_are_not_mixed(sessions: Sessions, clinic_id: UUID) -> None:
    with sessions.begin() as session:
        other = factories.clinic(session, "Elsewhere")
    for number in range(6):
        add_scored_case(sessions, other if number % 2 else clinic_id, LOW)
    activate(sessions, SECOND)
    here = plan_run(sessions, SECOND, Scope(kind="clinic", clinic_id=clinic_id))
    there = plan_run(sessions, SECOND, Scope(kind="clinic", clinic_id=other))
    one, two = lease_chunk(sessions), lease_chunk(sessions)
    assert one is not None
    assert two is not None
    for chunk, score in ((one, SEVERE), (two, INDETERMINATE)) * 3:
        assert score_next(sessions, chunk, score, limit=1) == 1
    with sessions.begin() as session:
        for chunk in (one, two):
            chunk_leases.complete(session, chunk)
    for run_id, change in ((here, 0.8), (there, 0.3)):
        drift = finish_and_report(sessions, run_id).drift
        assert (drift.photographs, drift.mean) == (3, pytest.approx(change, abs=1e-6))


def test_a_run_that_scores_what_earlier_runs_left_out_has_its_own_drift_only(
    sessions: Sessions, clinic_id: UUID
) -> None:
    cases = [add_scored_case(sessions, clinic_id, LOW) for _ in range(5)]
    first, *_, last = images = images_of(sessions, cases)
    comparison = plan_run(sessions, SECOND)
    score_all_chunks(sessions, 0.6, broken=[first, last])
    activate(sessions, SECOND)
    night = plan_run(sessions, SECOND)
    score_all_chunks(sessions, 0.6, broken=[first, last])
    again = plan_run(sessions, SECOND)
    assert score_all_chunks(sessions, SEVERE) == 2
    assert finish_and_report(sessions, comparison).drift.photographs == len(images) - 2
    assert finish_and_report(sessions, night).drift.photographs == len(images) - 2
    # Its one chunk reaches over all photographs, of which it scored two.
    report = finish_and_report(sessions, again)
    assert (report.scored, report.drift.photographs) == (2, 2)
    assert report.drift.mean == pytest.approx(0.8, abs=1e-6)


def test_images_that_either_of_two_runs_may_have_scored_are_left_out(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(4):
        add_scored_case(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    runs_of_all = [plan_run(sessions, SECOND, Scope(kind="all")) for _ in range(2)]
    taken = [lease_chunk(sessions), lease_chunk(sessions)]
    for chunk in taken:
        assert chunk is not None
        assert score_next(sessions, chunk, SEVERE, limit=2) == 2
    with sessions.begin() as session:
        for chunk in taken:
            assert chunk is not None
            chunk_leases.complete(session, chunk)
    for run_id in runs_of_all:
        report = finish_and_report(sessions, run_id)
        assert (report.scored, report.drift.photographs) == (2, 0)
        assert report.drift.mean is None


def test_a_decision_made_meanwhile_hides_no_drift(
    sessions: Sessions, clinic_id: UUID, clinician_id: UUID
) -> None:
    case_id = add_scored_case(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    run_id = plan_run(sessions, SECOND)
    score_all_chunks(sessions, SEVERE)
    with sessions.begin() as session:
        factories.decide(session, case_id, clinician_id)
    assert finish_and_report(sessions, run_id).drift.photographs == 1


def test_assessments_written_after_a_run_s_end_do_not_count_as_its_work(
    sessions: Sessions, clinic_id: UUID
) -> None:
    for _ in range(2):
        add_scored_case(sessions, clinic_id, LOW)
    activate(sessions, SECOND)
    cancelled = plan_run(sessions, SECOND)
    chunk = lease_chunk(sessions)
    assert chunk is not None
    assert score_next(sessions, chunk, SEVERE, limit=1) == 1
    with sessions.begin() as session:
        lifecycle.cancel(session, cancelled, reason="cancelled by the test", now=utcnow())
    plan_run(sessions, SECOND)
    assert score_all_chunks(sessions, LOW) == 1
    report = finish_and_report(sessions, cancelled)
    assert (report.scored, report.drift.photographs) == (1, 1)
    assert report.drift.mean == pytest.approx(0.8, abs=1e-6)

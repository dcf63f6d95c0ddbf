"""A report says how long its run worked, and how fast."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text, update
from tests.committed_runs import (
    SECOND,
    Sessions,
    activate,
    add_scored_case,
    finish_and_report,
    images_of,
    plan_run,
    score_all_chunks,
)
from tests.conftest import RELEASE
from tests.factories import LOW, MONDAY

from dermtriage.models import RescoreChunk, RescoreRun
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import lifecycle


def test_waiting_is_not_working_time(sessions: Sessions, clinic_id: UUID) -> None:
    cases = [add_scored_case(sessions, clinic_id, LOW) for _ in range(4)]
    activate(sessions, SECOND)
    run_id = plan_run(sessions, SECOND, size=2)
    score_all_chunks(sessions, LOW)
    # A minute for each photograph, and eight hours for someone to confirm in between.
    hours = timedelta(hours=8)
    written = [timedelta(minutes=1), timedelta(minutes=2)]
    written += [hours + timedelta(minutes=2 + minute) for minute in (1, 2)]
    with sessions.begin() as session:
        release_id = active_release(session).id
        session.execute(update(RescoreRun).values(started_at=MONDAY))
        for image_id, after in zip(images_of(sessions, cases), written, strict=True):
            session.execute(
                text(
                    "UPDATE assessments SET created_at = :at"
                    " WHERE image_id = :image AND release_id = :release"
                ),
                {"at": MONDAY + after, "image": image_id, "release": release_id},
            )
        for number, after in enumerate((written[1], written[3])):
            session.execute(
                update(RescoreChunk)
                .where(RescoreChunk.number == number)
                .values(done_at=MONDAY + after)
            )
        (ended,) = lifecycle.finish_completed(session, now=MONDAY + hours + timedelta(minutes=5))
        assert ended == run_id
    report = finish_and_report(sessions, run_id)
    assert report.seconds == (hours + timedelta(minutes=5)).total_seconds()
    # The first photograph after the wait cannot be told from the wait.
    assert report.working_seconds == 180
    assert report.images_per_second == pytest.approx(4 / 180)


def test_a_run_that_did_nothing_has_no_speed(sessions: Sessions, clinic_id: UUID) -> None:
    add_scored_case(sessions, clinic_id, LOW)
    run_id = plan_run(sessions, RELEASE)
    report = finish_and_report(sessions, run_id)
    assert (report.scored, report.working_seconds, report.images_per_second) == (0, 0, None)
    assert (report.drift.photographs, report.drift.compared) == (0, [])

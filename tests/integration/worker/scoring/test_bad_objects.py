"""One object of the store that cannot be read costs its own image attempts, and no other."""

import logging
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.doubles import WatchedStore
from tests.factories import photograph
from tests.runs import activate_and_plan, receive_and_score
from tests.uploads import (
    LONG_DELAY,
    assert_given_back,
    damage,
    end_retry_delays,
    invariants_hold,
    pending,
    scoring_states,
    send,
    store_folder,
)

from dermtriage.core.enums import RunState, Scoring, Severity
from dermtriage.core.settings import Settings
from dermtriage.models import RescoreFailure
from dermtriage.rescoring import runs
from dermtriage.storage.identity import MARKER
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending


def path_of(settings: Settings, kind: str, image_id: UUID) -> Path:
    return store_folder(settings) / kind / image_id.hex[-2:] / str(image_id)


def make_unreadable(settings: Settings, kind: str, image_id: UUID) -> None:
    """Put a folder in place of an object: nobody can read it, not even root."""
    path = path_of(settings, kind, image_id)
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)


def test_an_original_that_cannot_be_read_fails_alone_and_by_name(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = send(sessions, store, clinic_id, 4)
    make_unreadable(settings, "originals", images[1])
    assert score_pending(start(scoring_batch=4, max_attempts=2), None) == 3
    expected = [Scoring.SCORED] * 4
    expected[1] = Scoring.FAILED
    assert scoring_states(sessions, images) == expected
    assert pending(sessions) == []
    with sessions() as session:
        failed = factories.image(session, images[1])
        assert "cannot read this object: Is a directory" in (failed.failure or "")
        assert (failed.case.severity, failed.case.lane) == (Severity.UNSCORED, 1)
    logged = [vars(one) for one in caplog.records if one.message == "image failed"]
    assert [(one["image_id"], one["attempts"]) for one in logged] == [
        (images[1], 1),
        (images[1], 2),
    ]
    assert all("Is a directory" in one["reason"] for one in logged)
    assert invariants_hold(sessions)


def test_a_rendition_that_cannot_be_written_fails_alone(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    images = send(sessions, store, clinic_id, 3)
    make_unreadable(settings, "renditions", images[0])
    assert score_pending(start(max_attempts=1), None) == 2
    assert scoring_states(sessions, images) == [Scoring.FAILED, Scoring.SCORED, Scoring.SCORED]


def test_when_the_marker_cannot_be_read_either_it_is_an_outage(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    images = send(sessions, store, clinic_id, 3)
    marker = store_folder(settings) / MARKER
    identity = marker.read_bytes()
    make_unreadable(settings, "originals", images[1])
    marker.unlink()
    marker.mkdir()
    runtime = start(max_attempts=1, outage_delay=LONG_DELAY)
    assert score_pending(runtime, None) == 0
    assert_given_back(sessions, 3)
    marker.rmdir()
    marker.write_bytes(identity)
    path_of(settings, "originals", images[1]).rmdir()
    damage(settings, images[1], photograph(1))
    end_retry_delays(sessions)
    assert score_pending(runtime, None) == 3


@pytest.mark.parametrize("kind", ["renditions", "originals"])
def test_a_rescore_run_records_what_cannot_be_read_and_ends(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
    kind: str,
) -> None:
    runtime = start()
    images = receive_and_score(sessions, store, clinic_id, runtime, 3)
    if kind == "originals":
        path_of(settings, "renditions", images[1]).unlink()
    make_unreadable(settings, kind, images[1])
    run_id = activate_and_plan(sessions, second)
    assert rescore(runtime) == 2
    with sessions() as session:
        assert runs.find_run(session, run_id).state is RunState.FINISHED
        (failure,) = session.scalars(select(RescoreFailure))
        assert failure.image_id == images[1]
        assert "Is a directory" in failure.reason


def test_a_photograph_too_large_for_the_memory_fails_alone(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    watched: WatchedStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = send(sessions, store, clinic_id, 3)

    def exhaust(method: str, image_id: UUID) -> None:
        if image_id == images[1]:
            raise MemoryError

    watched.before = exhaust
    assert score_pending(start(max_attempts=2), None) == 2
    assert scoring_states(sessions, images) == [Scoring.SCORED, Scoring.FAILED, Scoring.SCORED]
    logged = [vars(one) for one in caplog.records if one.message == "image failed"]
    assert [(one["image_id"], one["reason"]) for one in logged] == [(images[1], "MemoryError")] * 2
    assert logged[0]["levelno"] == logging.WARNING


def test_a_rescore_run_ends_without_a_photograph_too_large_for_the_memory(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
    watched: WatchedStore,
) -> None:
    runtime = start()
    images = receive_and_score(sessions, store, clinic_id, runtime, 3)

    def exhaust(method: str, image_id: UUID) -> None:
        if image_id == images[1]:
            raise MemoryError

    watched.before = exhaust
    run_id = activate_and_plan(sessions, second)
    assert rescore(runtime) == 2
    with sessions() as session:
        assert runs.find_run(session, run_id).state is RunState.FINISHED
        (failure,) = session.scalars(select(RescoreFailure))
        assert (failure.image_id, failure.reason) == (images[1], "MemoryError")


def test_an_original_with_other_bytes_is_not_scored(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    """Two files that were swapped, and one with a flipped bit: all can be decoded."""
    images = send(sessions, store, clinic_id, 4)
    damage(settings, images[0], photograph(1))
    damage(settings, images[1], photograph(0))
    flipped = bytearray(photograph(2))
    flipped[-200] ^= 1
    damage(settings, images[2], bytes(flipped))
    assert score_pending(start(max_attempts=1), None) == 1
    assert scoring_states(sessions, images) == [Scoring.FAILED] * 3 + [Scoring.SCORED]
    with sessions() as session:
        for image_id in images[:3]:
            assert "SHA-256" in (factories.image(session, image_id).failure or "")
    assert invariants_hold(sessions)


def test_a_run_makes_no_rendition_of_an_original_with_other_bytes(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
) -> None:
    runtime = start()
    images = receive_and_score(sessions, store, clinic_id, runtime, 3)
    for image_id in images[:2]:
        path_of(settings, "renditions", image_id).unlink()
    damage(settings, images[0], photograph(2))
    activate_and_plan(sessions, second)
    assert rescore(runtime) == 2, "the one with its own bytes gets a new rendition"
    with sessions() as session:
        (failure,) = session.scalars(select(RescoreFailure))
        assert failure.image_id == images[0]
        assert "SHA-256" in failure.reason

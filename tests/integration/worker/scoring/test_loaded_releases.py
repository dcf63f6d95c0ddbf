"""Which release a scoring process holds, which thread loads it, and a folder that is not it."""

import threading
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker
from tests.conftest import RELEASE
from tests.doubles import EnsembleLoader
from tests.uploads import LONG_DELAY, assert_given_back, end_retry_delays, scoring_states, send

from dermtriage.core.enums import Scoring
from dermtriage.core.errors import ReleaseInvalid
from dermtriage.models import Assessment, Case, Release, Worker
from dermtriage.releases.queries import find_release
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.manifest_file import MANIFEST_NAME, manifest_sha256
from dermtriage_worker.ensemble.tiny import build_tiny_release
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending


def activate(sessions: sessionmaker[Session], folder: Path) -> int:
    """Make the release of this folder the active one."""
    with sessions.begin() as session:
        session.execute(update(Release).values(mode="idle"))
        sha256 = bytes.fromhex(manifest_sha256(folder))
        release = Release(name=folder.name, manifest={}, manifest_sha256=sha256, mode="active")
        session.add(release)
        session.flush()
        return release.id


def test_a_scoring_thread_loads_no_release_itself(
    start: Callable[..., Runtime],
    sessions: sessionmaker[Session],
    second: str,
    ensembles: EnsembleLoader,
) -> None:
    """Weights that it frees later would fragment its memory."""
    runtime = start()
    with sessions() as session:
        other = find_release(session, second)
    assert runtime.active.ensemble_of(other).manifest.name == second
    (_, (name, loader)) = ensembles.loaded
    assert name == second
    assert loader is not threading.current_thread()
    assert not loader.is_alive()


def test_a_worker_does_not_start_with_an_altered_release(
    sessions: sessionmaker[Session], start: Callable[..., Runtime], releases: Path
) -> None:
    with (releases / RELEASE / MANIFEST_NAME).open("a") as manifest:
        manifest.write("\n")
    with pytest.raises(ReleaseInvalid):
        start(releases_dir=releases)
    with sessions() as session:
        assert session.scalars(select(Worker)).all() == []


def test_a_release_that_is_not_the_installed_one_scores_nothing_and_loses_nothing(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    releases: Path,
) -> None:
    images = send(sessions, store, clinic_id, 3)
    runtime = start(releases_dir=releases, outage_delay=LONG_DELAY)
    build_tiny_release(releases / "next", seed=1)
    release_id = activate(sessions, releases / "next")
    manifest = releases / "next" / MANIFEST_NAME
    intact = manifest.read_bytes()
    manifest.write_bytes(intact + b"\n")
    assert score_pending(runtime, None) == 0
    assert_given_back(sessions, 3)

    manifest.write_bytes(intact)
    end_retry_delays(sessions)
    assert score_pending(runtime, None) == 3
    assert scoring_states(sessions, images) == [Scoring.SCORED] * 3
    with sessions() as session:
        assert set(session.scalars(select(Assessment.release_id))) == {release_id}


def test_a_new_release_scores_from_the_next_batch_on(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    releases: Path,
) -> None:
    send(sessions, store, clinic_id, 1)
    runtime = start(releases_dir=releases)
    assert score_pending(runtime, None) == 1
    build_tiny_release(releases / "next", seed=1)
    activate(sessions, releases / "next")
    send(sessions, store, clinic_id, 1)
    assert score_pending(runtime, None) == 1
    with sessions() as session:
        rows = session.execute(
            select(Release.name, Assessment.p_severe).join(
                Assessment, Assessment.release_id == Release.id
            )
        ).all()
        assert {name for name, _ in rows} == {RELEASE, "next"}
        assert len({p_severe for _, p_severe in rows}) == 2  # the same photograph
        assert session.scalar(select(func.count()).select_from(Case)) == 2

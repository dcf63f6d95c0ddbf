"""With which release a worker scores a run, and what it does without it."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests.conftest import RELEASE
from tests.doubles import EnsembleLoader
from tests.runs import activate, plan_run, receive_and_score

from dermtriage.core.enums import RunState
from dermtriage.models import Assessment, Release, RescoreChunk
from dermtriage.releases.activation import add_release
from dermtriage.rescoring import runs
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.manifest_file import manifest_sha256, read_manifest
from dermtriage_worker.ensemble.tiny import build_tiny_release
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.runtime import Runtime

Start = Callable[..., Runtime]


def add(session: Session, folder: Path, seed: int) -> str:
    """Build a release and enter it in the database; return its name."""
    build_tiny_release(folder, seed=seed)
    add_release(
        session,
        name=folder.name,
        manifest=read_manifest(folder).model_dump(mode="json"),
        sha256=bytes.fromhex(manifest_sha256(folder)),
    )
    return folder.name


def test_a_release_that_is_activated_during_its_run_is_loaded_as_the_active_one(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Start,
    second: str,
    ensembles: EnsembleLoader,
) -> None:
    runtime = start(scoring_batch=1, rescore_chunk=20)
    receive_and_score(sessions, store, clinic_id, runtime, 6)
    with sessions.begin() as session:
        plan_run(session, name=second)

    def activate_it(name: str) -> None:
        if name == second and len(ensembles.loaded) == 1:
            with sessions.begin() as session:
                activate(session, second)

    ensembles.before_load = activate_it
    assert rescore(runtime) == 6
    # First beside the active release, then in its place.
    assert [name for name, _ in ensembles.loaded] == [RELEASE, second, second]


def test_a_worker_without_the_release_leaves_the_run_to_others(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Start,
    releases: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runtime = start(rescore_chunk=1, releases_dir=releases)
    images = receive_and_score(sessions, store, clinic_id, runtime, 2)
    with sessions.begin() as session:
        add(session, releases / "absent", seed=3)
        add(session, releases / "present", seed=4)
        absent = plan_run(session, size=1, name="absent").id
        present = plan_run(session, name="present").id
    away = (releases / "absent").rename(tmp_path / "away")
    assert rescore(runtime) == 2
    # The younger run did not have to wait for the older one.
    with sessions() as session:
        scored = select(Assessment.image_id).join(Release).where(Release.name == "present")
        assert set(session.scalars(scored)) == set(images)
        assert runs.find_run(session, present).state is RunState.FINISHED
    assert [one.message for one in caplog.records].count("release not loaded") == 1
    with sessions() as session:
        run = runs.find_run(session, absent)
        assert run.state is RunState.RUNNING
        assert "A worker cannot take part. Release absent has no readable" in str(run.reason)
        rows = session.scalars(select(RescoreChunk).where(RescoreChunk.run_id == absent)).all()
        assert [row.attempts for row in rows] == [0, 0]
        assert [row.lease_token for row in rows] == [None, None]
    away.rename(releases / "absent")
    assert rescore(runtime) == 2
    with sessions() as session:
        run = runs.find_run(session, absent)
        assert (run.state, run.reason) == (RunState.FINISHED, None)

"""Rescore runs when processes are killed: each image is scored once, and uploads go on."""

from sqlalchemy import func, select, text
from tests.acceptance.conftest import System, wait_for
from tests.acceptance.rescore_run import SECOND, count_scored_by, has_report, plan_run
from tests.acceptance.upload import upload_many

from dermtriage.core.enums import RunState
from dermtriage.models import Assessment, RescoreChunk, TriageEvent
from dermtriage.operations import invariants
from dermtriage.releases.activation import activate_release
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import runs
from dermtriage_cli.releases.folders import register_release
from dermtriage_worker.ensemble.tiny import build_tiny_release


def test_a_rescore_run_finishes_although_its_worker_and_redis_are_killed(system: System) -> None:
    system.settings = system.settings.model_copy(update={"scoring_threads": 1, "scoring_batch": 1})
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 60)
    worker = system.start_worker()
    system.start_upkeep()
    system.assert_all_scored_once(images)
    run_id = plan_run(system)
    wait_for(lambda: count_scored_by(system, run_id) > 0, "a run under way")
    worker.kill()
    before = count_scored_by(system, run_id)
    assert before < len(images), "the worker was killed too late to leave anything"
    system.redis.kill()
    system.redis.start()
    with system.client() as client:
        later = upload_many(client, 3)
    system.start_worker("second")
    wait_for(lambda: has_report(system, run_id), "the end of the run, and its report")
    wait_for(lambda: system.count_scored() == len(images) + len(later), "the uploads")
    with system.sessions.begin() as session:
        release = active_release(session)
        assessed = session.scalars(
            select(Assessment.image_id).where(Assessment.release_id == release.id)
        ).all()
        assert sorted(assessed) == sorted(images | later)
        # Each image was done once: the counts are written with the assessments.
        assert session.scalar(select(func.sum(RescoreChunk.scored))) == len(images)
        report = runs.find_run(session, run_id).report
        assert report is not None
        assert report["state"] == RunState.FINISHED
        assert (report["scored"], report["failed"]) == (len(images), 0)
        twice = (
            select(TriageEvent.case_id)
            .where(TriageEvent.run_id == run_id)
            .group_by(TriageEvent.case_id)
            .having(func.count() > 1)
        )
        assert session.scalars(twice).all() == []
        not_triaged = text("SELECT count(*) FROM images WHERE release_id <> :release")
        assert session.scalar(not_triaged, {"release": release.id}) == 0
        assert invariants.check_invariants(session) == {}


def test_a_nightly_run_is_planned_and_scored_without_a_command(system: System) -> None:
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 5)
    system.start_worker()
    system.start_upkeep()
    system.assert_all_scored_once(images)
    # As if the first release had been installed long before the last night.
    with system.sessions.begin() as session:
        session.execute(text("UPDATE release_activations SET created_at = '2026-01-01'"))
    wait_for(lambda: _scored_by_night(system) == [0], "the run of a night without a new release")
    with system.sessions.begin() as session:
        session.execute(text("DELETE FROM rescore_runs"))
        folder = system.settings.releases_dir / SECOND
        if not folder.exists():
            build_tiny_release(folder, seed=5)
        register_release(session, folder)
        activate_release(
            session, name=SECOND, minimum_sensitivity=0.0, actor="tests", override_reason="a test"
        )
    wait_for(lambda: _scored_by_night(system) == [len(images)], "the night's run")


def _scored_by_night(system: System) -> list[int]:
    """Return the number of images that each finished nightly run scored."""
    with system.sessions() as session:
        found = runs.list_runs(session, limit=10)
        return [run.report["scored"] for run in found if run.night is not None and run.report]

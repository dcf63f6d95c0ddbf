"""One photograph that kills or hangs its worker costs no other photograph an attempt."""

import time
from uuid import UUID

from sqlalchemy import select, update
from tests.acceptance.conftest import System, wait_for
from tests.acceptance.faulty_worker import blue_photograph
from tests.acceptance.rescore_run import count_scored_by, has_report, plan_run
from tests.acceptance.upload import upload, upload_many
from tests.photographs import jpeg

from dermtriage.core.enums import Scoring
from dermtriage.core.errors import NotFound
from dermtriage.models import Image, PendingImage, PolicyVersion, RescoreChunk
from dermtriage.operations import invariants
from dermtriage.releases.queries import active_release
from dermtriage.storage.image_store import ImageStore
from dermtriage_cli.embedded.child_process import ChildProcess
from dermtriage_worker.process import STALLED


def start_faulty(system: System, fault: str, name: str = "faulty") -> ChildProcess:
    return system.start(name, "tests.acceptance.faulty_worker", fault)


def upload_blue(system: System) -> UUID:
    with system.client() as client:
        (image,) = upload(client, [blue_photograph()])["images"]
    return UUID(image["image_id"])


def upload_until_ended(system: System, worker: ChildProcess) -> set[UUID]:
    """Upload a photograph every 0.2 seconds until a worker has ended; return the images."""
    images: set[UUID] = set()

    def ended() -> bool:
        with system.client() as client:
            (image,) = upload(client, [jpeg(1000 + len(images))])["images"]
        images.add(UUID(image["image_id"]))
        time.sleep(0.2)
        return worker.poll() is not None

    wait_for(ended, "the end of the worker")
    return images


def test_a_photograph_that_kills_its_worker_takes_no_other_with_it(system: System) -> None:
    changes = {"max_attempts": 1, "lease_seconds": 2, "scoring_batch": 1}
    system.settings = system.settings.model_copy(update=changes)
    system.start_api()
    blue = upload_blue(system)
    with system.client() as client:
        (innocent,) = upload_many(client, 1)
    system.start_upkeep()
    workers: list[ChildProcess] = []

    def blue_has_failed() -> bool:
        """Be the supervisor meanwhile."""
        if not workers or workers[-1].poll() is not None:
            workers.append(start_faulty(system, "kill", f"faulty-{len(workers)}"))
        with system.sessions() as session:
            return session.get_one(Image, blue).scoring is Scoring.FAILED

    wait_for(blue_has_failed, "the end of the attempts")
    wait_for(lambda: system.count_scored() == 1, "the other photograph")
    with system.sessions.begin() as session:
        assert session.get_one(Image, innocent).scoring is Scoring.SCORED
        failure = session.get_one(Image, blue).failure
        assert failure == "Gave up after 1 attempts: the worker did not come back."
        assert invariants.check_invariants(session) == {}


def test_a_batch_that_hangs_ends_its_process_while_other_uploads_are_scored(
    system: System,
) -> None:
    changes = {"stall_seconds": 3, "lease_seconds": 600}
    system.settings = system.settings.model_copy(update=changes)
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 6)
    images.add(upload_blue(system))
    hung = start_faulty(system, "hang")
    images |= upload_until_ended(system, hung)
    assert hung.poll() == STALLED
    with system.sessions() as session:
        rows = session.scalars(select(PendingImage)).all()
        assert [row for row in rows if row.lease_token is not None] == []
        assert {row.attempts for row in rows} == {0}
        assert any(row.suspect for row in rows)
    assert system.count_scored() > 0
    system.start_worker("second")
    system.start_upkeep()
    system.assert_all_scored_once(images)


def test_a_batch_of_a_rescore_run_that_hangs_ends_its_process(system: System) -> None:
    changes = {"stall_seconds": 4, "lease_seconds": 600}
    system.settings = system.settings.model_copy(update=changes)
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 5)
    images.add(upload_blue(system))
    healthy = system.start_worker()
    system.start_upkeep()
    system.assert_all_scored_once(images)
    healthy.terminate()
    wait_for(lambda: healthy.poll() is not None, "the end of the worker")
    run_id = plan_run(system)
    hung = start_faulty(system, "hang")
    upload_until_ended(system, hung)
    assert hung.poll() == STALLED
    with system.sessions() as session:
        (chunk,) = session.scalars(select(RescoreChunk))
        assert (chunk.lease_token, chunk.suspect, chunk.attempts) == (None, True, 0)
    system.start_worker("second")
    wait_for(lambda: has_report(system, run_id), "the end of the run, and its report")
    assert count_scored_by(system, run_id) == len(images)


def test_heat_maps_are_progress_and_those_of_a_dead_worker_are_drawn_by_another(
    system: System,
) -> None:
    changes = {"stall_seconds": 8, "lease_seconds": 2, "scoring_threads": 1}
    system.settings = system.settings.model_copy(update=changes)
    with system.sessions.begin() as session:
        all_severe = PolicyVersion.body.op("||")({"lower": 0.0, "upper": 0.0})
        session.execute(update(PolicyVersion).values(body=all_severe))
        release = active_release(session).name
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 18)
    store = ImageStore.from_settings(system.settings, system.sessions)

    def count_maps() -> int:
        drawn = 0
        for image_id in images:
            try:
                drawn += bool(store.get_heat_map(image_id, release))
            except NotFound:
                continue
        return drawn

    worker = start_faulty(system, "slow_maps")

    def well_after_a_stall() -> bool:
        assert worker.poll() is None, "it took its heat maps for a stall"
        return count_maps() >= 12

    wait_for(well_after_a_stall, "most heat maps")
    worker.kill()
    assert count_maps() < 18, "the worker was killed too late to leave any"
    system.start_worker("second")
    system.start_upkeep()
    wait_for(lambda: count_maps() == 18, "all heat maps")

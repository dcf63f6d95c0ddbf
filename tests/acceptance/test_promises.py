"""An upload that got its 202 is never lost and never hidden, whatever dies at whatever moment."""

import os
import shutil
import signal
from uuid import UUID

from sqlalchemy import select, text
from tests.acceptance.conftest import System, wait_for
from tests.acceptance.upload import upload_many

from dermtriage.messaging.celery_app import make_celery
from dermtriage.messaging.sender import send_scores
from dermtriage.models import PendingImage
from dermtriage_worker.process import STALLED


def _leased(system: System) -> int:
    with system.sessions() as session:
        statement = select(PendingImage.image_id).where(PendingImage.lease_token.is_not(None))
        return len(session.scalars(statement).all())


def _queued(system: System) -> bool:
    """Whether messages lie in the queue, so that killing Redis loses some."""
    import redis

    client = redis.Redis.from_url(system.settings.redis_url.get_secret_value())
    return client.llen("uploads") > 0


def test_a_worker_killed_in_mid_batch_loses_nothing(system: System) -> None:
    system.start_api()
    system.start_upkeep()
    with system.client() as client:
        images = upload_many(client, 40)
    worker = system.start_worker()
    wait_for(lambda: _leased(system) > 0, "a batch under way")
    worker.kill()
    left = _leased(system)
    assert left > 0, "the worker was killed too late to hold anything"
    system.start_worker("second")
    system.all_scored_once(images)


def test_redis_killed_and_started_empty_loses_nothing(system: System) -> None:
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 12)
    wait_for(lambda: _queued(system), "messages in the queue")
    system.redis.kill()
    shutil.rmtree(system.redis.data_dir)
    system.redis.start()
    assert not _queued(system)
    system.start_worker()
    system.start_upkeep()
    system.all_scored_once(images)


def test_uploads_are_taken_while_redis_is_down_and_scored_afterwards(system: System) -> None:
    system.start_api()
    system.start_upkeep()
    system.start_worker()
    wait_for(lambda: system.live_workers() == 1, "the worker")
    system.redis.kill()
    with system.client() as client:
        images = upload_many(client, 6)
    assert system.scored() == 0
    system.redis.start()
    system.all_scored_once(images)


def test_without_any_worker_cases_stand_in_the_worklist_unscored(system: System) -> None:
    system.start_api()
    with system.client() as client:
        upload_many(client, 3)
    with system.clinician() as reader:
        page = reader.get("/v1/worklist").json()
    assert [item["severity"] for item in page["items"]] == ["unscored"] * 3
    assert {item["lane"] for item in page["items"]} == {1}


def test_two_workers_scoring_the_images_of_the_same_cases(system: System) -> None:
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 12, per_case=2)
    system.start_worker("one")
    system.start_worker("two")
    system.start_upkeep()
    system.all_scored_once(images)
    with system.sessions() as session:
        wrong = text(
            "SELECT c.id FROM cases c JOIN images i ON i.case_id = c.id GROUP BY c.id"
            " HAVING (c.severity = 'severe') <> bool_or(i.severity = 'severe')"
            " OR c.severity = 'unscored'"
        )
        assert session.execute(wrong).all() == []


def test_a_message_delivered_twice_makes_one_assessment(system: System) -> None:
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 4)
    app = make_celery(system.settings)
    send_scores(app, [*images, *images, UUID(int=0)])
    system.start_worker()
    system.all_scored_once(images)
    wait_for(lambda: not _queued(system), "the rest of the messages")
    system.all_scored_once(images)


def test_a_worker_told_to_stop_ends_its_batch_and_leaves_the_list(system: System) -> None:
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 40)
    worker = system.start_worker()
    wait_for(lambda: _leased(system) > 0, "a batch under way")
    worker.terminate()
    wait_for(lambda: worker.poll() is not None, "the end of the worker")
    assert worker.poll() == 0
    assert _leased(system) == 0, "an orderly end leaves no image leased"
    assert system.live_workers() == 0
    system.start_worker("second")
    system.start_upkeep()
    system.all_scored_once(images)


def test_the_safety_net_works_while_the_worker_hangs(system: System) -> None:
    system.start_api()
    system.start_upkeep()
    hung = system.start_worker("hung")
    wait_for(lambda: system.live_workers() == 1, "the worker")
    os.kill(hung.pid, signal.SIGSTOP)
    with system.client() as client:
        images = upload_many(client, 5)
    system.start_worker("second")
    system.all_scored_once(images)


def test_a_worker_that_sees_a_backlog_and_completes_nothing_ends_itself(system: System) -> None:
    system.start_api()
    system.redis.kill()
    with system.client() as client:
        images = upload_many(client, 2)
    system.settings = system.settings.model_copy(update={"stall_seconds": 2})
    worker = system.start_worker()
    wait_for(lambda: worker.poll() is not None, "the end of the worker")
    assert worker.poll() == STALLED
    system.redis.start()
    system.start_worker("second")
    system.start_upkeep()
    system.all_scored_once(images)

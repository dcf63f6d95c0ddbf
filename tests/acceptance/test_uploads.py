"""An upload that got its 202 is never lost and never hidden, whichever process is killed when."""

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


def _count_leased(system: System) -> int:
    with system.sessions() as session:
        statement = select(PendingImage.image_id).where(PendingImage.lease_token.is_not(None))
        return len(session.scalars(statement).all())


def _has_queued_messages(system: System) -> bool:
    """Return whether messages are in the queue, so that killing Redis loses some."""
    import redis

    client = redis.Redis.from_url(system.settings.redis_url.get_secret_value())
    return client.llen("uploads") > 0


def test_images_of_a_worker_killed_during_a_batch_are_scored_by_another(system: System) -> None:
    system.start_api()
    system.start_upkeep()
    with system.client() as client:
        images = upload_many(client, 40)
    worker = system.start_worker()
    wait_for(lambda: _count_leased(system) > 0, "a batch under way")
    worker.kill()
    still_leased = _count_leased(system)
    assert still_leased > 0, "the worker was killed too late to hold anything"
    system.start_worker("second")
    system.assert_all_scored_once(images)


def test_images_are_scored_after_redis_lost_all_messages(system: System) -> None:
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 12)
    wait_for(lambda: _has_queued_messages(system), "messages in the queue")
    system.redis.kill()
    shutil.rmtree(system.redis.data_dir)
    system.redis.start()
    assert not _has_queued_messages(system)
    system.start_worker()
    system.start_upkeep()
    system.assert_all_scored_once(images)


def test_uploads_are_accepted_and_scored_while_redis_is_down(system: System) -> None:
    system.start_api()
    system.start_upkeep()
    system.start_worker()
    wait_for(lambda: system.count_live_workers() == 1, "the worker")
    system.redis.kill()
    with system.client() as client:
        images = upload_many(client, 6)
    system.assert_all_scored_once(images)


def test_without_a_worker_cases_are_in_the_worklist_as_unscored(system: System) -> None:
    system.start_api()
    with system.client() as client:
        upload_many(client, 3)
    with system.clinician() as reader:
        page = reader.get("/v1/worklist").json()
    assert [item["severity"] for item in page["items"]] == ["unscored"] * 3
    assert {item["lane"] for item in page["items"]} == {1}


def test_cases_whose_images_two_workers_score_get_the_right_severity(
    system: System,
) -> None:
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 12, per_case=2)
    system.start_worker("one")
    system.start_worker("two")
    system.start_upkeep()
    system.assert_all_scored_once(images)
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
    system.assert_all_scored_once(images)
    wait_for(lambda: not _has_queued_messages(system), "the rest of the messages")
    system.assert_all_scored_once(images)


def test_a_terminated_worker_finishes_its_batch_and_unregisters(system: System) -> None:
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 40)
    worker = system.start_worker()
    wait_for(lambda: _count_leased(system) > 0, "a batch under way")
    worker.terminate()
    wait_for(lambda: worker.poll() is not None, "the end of the worker")
    assert worker.poll() == 0
    assert _count_leased(system) == 0, "a terminated worker releases its leases"
    assert system.count_live_workers() == 0
    system.start_worker("second")
    system.start_upkeep()
    system.assert_all_scored_once(images)


def test_uploads_are_scored_while_a_worker_hangs(system: System) -> None:
    system.start_api()
    system.start_upkeep()
    hung = system.start_worker("hung")
    wait_for(lambda: system.count_live_workers() == 1, "the worker")
    os.kill(hung.pid, signal.SIGSTOP)
    with system.client() as client:
        images = upload_many(client, 5)
    system.start_worker("second")
    system.assert_all_scored_once(images)


def test_a_worker_that_completes_nothing_of_a_backlog_exits(system: System) -> None:
    system.start_api()
    with system.client() as client:
        images = upload_many(client, 2)
    system.settings = system.settings.model_copy(update={"stall_seconds": 2})
    with system.sessions() as session:
        # Another transaction holds the images, so no slot gets a lease on them.
        session.execute(select(PendingImage).with_for_update())
        worker = system.start_worker()
        wait_for(lambda: worker.poll() is not None, "the end of the worker")
        session.rollback()
    assert worker.poll() == STALLED
    system.start_worker("second")
    system.start_upkeep()
    system.assert_all_scored_once(images)

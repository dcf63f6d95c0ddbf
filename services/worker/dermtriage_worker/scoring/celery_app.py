"""The scoring worker: ``python -m dermtriage_worker.scoring``.

One process per device. The active release is loaded first. Then messages from the queues
``uploads`` and ``bulk``, or a look into the database (`poller`), set the slots to work.
"""

import logging
import sys
from collections.abc import Callable
from uuid import UUID

from celery import Celery
from celery.signals import worker_shutting_down

from dermtriage.core.errors import DermtriageError, Unavailable
from dermtriage.core.logging_setup import setup_logging
from dermtriage.core.settings import Settings, get_settings
from dermtriage.messaging.celery_app import make_celery
from dermtriage.messaging.tasks import RESCORE, SCORE
from dermtriage_worker.process import FAILED, STOPPED
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.heartbeat import Heartbeat
from dermtriage_worker.scoring.poller import Poller
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.termination import failures_handled
from dermtriage_worker.scoring.upload_loop import score_pending

logger = logging.getLogger(__name__)

QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
"""Workers report to the database; Celery's own events leak keys in Redis."""


def make_app(settings: Settings, runtime: Runtime) -> Celery:
    """Build the Celery application with its two tasks."""
    app = make_celery(settings)

    @app.task(name=SCORE, shared=False)
    def score(image_id: str) -> None:
        with runtime.slots, failures_handled(runtime):
            score_pending(runtime, UUID(image_id))

    @app.task(name=RESCORE, shared=False)
    def rescore_chunks() -> None:
        with runtime.slots, failures_handled(runtime):
            rescore(runtime)

    return app


def main(make_runtime: Callable[[Settings], Runtime] = Runtime) -> int:
    """Run the worker until it is told to stop; return its exit status."""
    try:
        settings = get_settings()
        setup_logging(settings.log_level)
        runtime = make_runtime(settings)
    except DermtriageError as error:
        print(f"dermtriage worker: {error}", file=sys.stderr)  # noqa: T201 - nothing runs yet
        return FAILED
    heartbeat, poller = Heartbeat(runtime), Poller(runtime)
    heartbeat.start()
    poller.start()

    def stop(**_: object) -> None:
        runtime.stopping.set()

    worker_shutting_down.connect(stop, weak=False)
    try:
        _consume_messages(make_app(settings, runtime), settings)
        # Celery also returns after an error that it cannot recover from.
        told_to_stop = runtime.stopping.is_set()
    finally:
        runtime.stopping.set()
        poller.join()
        heartbeat.stop()
        try:
            runtime.unregister()
        except Unavailable as error:
            logger.warning("not removed from the worker registry", extra={"reason": str(error)})
    return STOPPED if told_to_stop else FAILED


def _consume_messages(app: Celery, settings: Settings) -> None:
    # As many messages as there are slots may wait for one; further ones are left to other workers.
    threads = 2 * settings.scoring_threads
    app.worker_main(
        [
            "worker",
            *("--pool", "threads", "--concurrency", str(threads)),
            *("--queues", settings.worker_queues),
            *QUIET,
        ]
    )

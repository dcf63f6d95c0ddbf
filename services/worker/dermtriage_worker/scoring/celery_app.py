"""The scoring worker: ``python -m dermtriage_worker.scoring``.

One process per device. Its threads consume the queues ``uploads`` and ``bulk``; the active release
is loaded before the first message.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from celery import Celery
from celery.signals import worker_shutting_down

from dermtriage.core.errors import DermtriageError, Unavailable
from dermtriage.core.logging_setup import setup_logging
from dermtriage.core.settings import Settings, get_settings
from dermtriage.messaging.celery_app import make_celery
from dermtriage.messaging.sender import send_end_runs
from dermtriage.messaging.tasks import RESCORE, SCORE
from dermtriage_worker.ensemble.device import DeviceLost
from dermtriage_worker.process import QUIET
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.heartbeat import Heartbeat
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.termination import end_process
from dermtriage_worker.scoring.upload_loop import score_pending

logger = logging.getLogger(__name__)


def make_app(settings: Settings, runtime: Runtime) -> Celery:
    """Build the Celery application with its two tasks."""
    app = make_celery(settings)

    @app.task(name=SCORE, shared=False)
    def score(image_id: str) -> None:
        with _failures_handled(runtime):
            score_pending(runtime, UUID(image_id))

    @app.task(name=RESCORE, shared=False)
    def rescore_chunks() -> None:
        with _failures_handled(runtime):
            rescore(runtime)
            # Upkeep writes the reports, which would keep this thread from uploads.
            send_end_runs(app)

    return app


@contextmanager
def _failures_handled(runtime: Runtime) -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        # The message may be lost: the work is in the database, and recovery finds it there.
        logger.warning("task postponed", extra={"reason": str(error)})
    except DeviceLost as error:
        logger.critical("device lost", exc_info=True)
        # The other threads have lost it too, and perhaps one of their images is why.
        end_process(runtime, runtime.running.all(), reason=str(error))


def main(make_runtime: Callable[[Settings], Runtime] = Runtime) -> int:
    """Run the worker until it is told to stop."""
    try:
        settings = get_settings()
        setup_logging(settings.log_level)
        runtime = make_runtime(settings)
    except DermtriageError as error:
        print(f"dermtriage worker: {error}", file=sys.stderr)  # noqa: T201 - nothing runs yet
        return 1
    heartbeat = Heartbeat(runtime)
    heartbeat.start()

    def stop(**_: object) -> None:
        runtime.stopping.set()

    worker_shutting_down.connect(stop, weak=False)
    app = make_app(settings, runtime)
    threads = str(settings.scoring_threads)
    try:
        app.worker_main(
            [
                "worker",
                "--pool",
                "threads",
                "--concurrency",
                threads,
                "--queues",
                settings.worker_queues,
                *QUIET,
            ]
        )
    finally:
        heartbeat.stop()
        try:
            runtime.unregister()
        except Unavailable as error:
            logger.warning("not removed from the worker registry", extra={"reason": str(error)})
    return 0

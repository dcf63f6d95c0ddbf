"""The scoring worker: ``python -m dermtriage_worker.app``.

One process a device. Its threads take messages from the queues ``uploads`` and ``bulk``; the model
is loaded before the first one.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from celery import Celery
from celery.signals import worker_shutting_down

from dermtriage.broker import RESCORE, SCORE, make_celery, send_end_runs
from dermtriage.errors import DermtriageError, Unavailable
from dermtriage.logs import setup_logging
from dermtriage.settings import Settings, get_settings
from dermtriage_worker.ensemble.device import DeviceLost
from dermtriage_worker.heartbeat import Heartbeat
from dermtriage_worker.process import QUIET, STALLED
from dermtriage_worker.rescoring import rescore
from dermtriage_worker.runtime import Runtime
from dermtriage_worker.scoring import score_pending

logger = logging.getLogger(__name__)


def make_app(settings: Settings, runtime: Runtime) -> Celery:
    """Build the Celery application with its two tasks."""
    app = make_celery(settings)

    @app.task(name=SCORE, shared=False)
    def score(image_id: str) -> None:
        with _outage_is_a_warning():
            score_pending(runtime, UUID(image_id))

    @app.task(name=RESCORE, shared=False)
    def rescore_chunks() -> None:
        with _outage_is_a_warning():
            rescore(runtime)
            # A run's report would keep this thread from uploads.
            send_end_runs(app)

    return app


@contextmanager
def _outage_is_a_warning() -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        # The message may go: the work stays in the database, and recovery finds it.
        logger.warning("put off", extra={"reason": str(error)})
    except DeviceLost:
        logger.critical("device lost, ending the process", exc_info=True)
        os._exit(STALLED)


def main() -> int:
    """Run the worker until it is told to stop."""
    try:
        settings = get_settings()
        setup_logging(settings.log_level)
        runtime = Runtime(settings)
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
            runtime.retire()
        except Unavailable as error:
            logger.warning("not taken off the list of workers", extra={"reason": str(error)})
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Rescoring end to end: a run over photographs that are already stored."""

import time
from collections.abc import Sequence
from math import ceil
from statistics import median, quantiles
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, sessionmaker

from bench import load
from bench.cpu import Meter
from dermtriage.core.settings import Settings
from dermtriage.messaging.celery_app import make_celery
from dermtriage.messaging.sender import send_rescores
from dermtriage.models import Assessment, RescoreRun, Worker
from dermtriage.releases.activation import activate_release
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import planning
from dermtriage.rescoring.scope import Scope
from dermtriage_cli.releases.folders import register_release

Sessions = sessionmaker[Session]

CHUNKS = 4
"""Per thread, so that all threads have work until the end of a small run."""


def rate(
    url: str, sessions: Sessions, settings: Settings, twin: str, first: load.Request
) -> tuple[float, float]:
    """Rescore everything with a twin; return images per second and CPU seconds per image.

    Measured by new assessment rows, from the message that starts the workers to the run's report.
    """
    _load(url, sessions, settings, twin, first)
    images, release_id = _plan(sessions, settings)
    before = _scored(sessions, release_id)
    meter, start = Meter(), time.perf_counter()
    send_rescores(make_celery(settings), settings.scoring_threads)
    while not _reported(sessions):
        time.sleep(0.2)  # polling costs CPU too
    elapsed, spent = time.perf_counter() - start, meter.seconds()
    if _scored(sessions, release_id) != before + images:
        raise RuntimeError("the run ended without an assessment of each of its photographs")
    return images / elapsed, spent / images


def latency_during(
    url: str, sessions: Sessions, settings: Settings, twin: str, requests: Sequence[load.Request]
) -> tuple[float, float]:
    """Send uploads one by one during a run; return median and 95th percentile of their seconds.

    Each is measured from its 202 to its assessment. The first request only makes the workers load
    the twin.
    """
    _load(url, sessions, settings, twin, requests[0])
    images, release_id = _plan(sessions, settings)
    before = _scored(sessions, release_id)
    send_rescores(make_celery(settings), settings.scoring_threads)
    while _scored(sessions, release_id) == before:
        time.sleep(0.02)
    connection = load.connect(url)
    waited = []
    for request in requests[1:]:
        if _scored(sessions, release_id) >= before + images:
            raise RuntimeError("the run ended before all uploads were sent: use more photographs")
        image_id = load.post(connection, request)
        accepted = time.perf_counter()
        with sessions() as session:
            wait_until_scored(session, image_id)
        waited.append(time.perf_counter() - accepted)
    while _scored(sessions, release_id) < before + images + len(waited):
        time.sleep(0.1)
    return median(waited), quantiles(waited, n=20)[-1]


def wait_until_idle(sessions: Sessions, settings: Settings) -> None:
    """Wait for the heat maps, which are drawn once no photograph is pending."""
    busy = 1
    while busy:
        # A worker's figures are updated only with its heartbeat.
        time.sleep(2 * settings.heartbeat_seconds)
        with sessions() as session:
            busy = session.scalar(select(func.sum(Worker.busy))) or 0


def wait_until_scored(session: Session, image_id: UUID) -> None:
    """Poll every two milliseconds until an image has an assessment."""
    found = select(func.count()).select_from(Assessment).where(Assessment.image_id == image_id)
    while not session.scalar(found):
        session.rollback()
        time.sleep(0.002)
    session.rollback()


def _load(
    url: str, sessions: Sessions, settings: Settings, twin: str, request: load.Request
) -> None:
    """Activate a twin, and make the workers load it; that takes seconds, once per night."""
    with sessions.begin() as session:
        register_release(session, settings.releases_dir / twin)
        activate_release(
            session, name=twin, minimum_sensitivity=0.0, actor="bench", override_reason="bench"
        )
    image_id = load.post(load.connect(url), request)
    with sessions() as session:
        wait_until_scored(session, image_id)
    wait_until_idle(sessions, settings)


def _plan(sessions: Sessions, settings: Settings) -> tuple[int, int]:
    """Plan a run over everything; return its number of images and the release's id."""
    everything = Scope(kind="all")
    with sessions.begin() as session:
        release = active_release(session)
        images = planning.count_images(session, release_id=release.id, scope=everything)
        run = planning.plan_run(
            session,
            release=release,
            scope=everything,
            actor="bench",
            chunk_images=ceil(images / CHUNKS / settings.scoring_threads),
        )
        return run.images, release.id


def _reported(sessions: Sessions) -> bool:
    """Whether every run has ended and has its report."""
    with sessions() as session:
        return not session.scalar(select(exists().where(RescoreRun.report.is_(None))))


def _scored(sessions: Sessions, release_id: int) -> int:
    rows = select(func.count()).select_from(Assessment).where(Assessment.release_id == release_id)
    with sessions() as session:
        return session.scalar(rows) or 0

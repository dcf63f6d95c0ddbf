"""Rescoring end to end: a run over photographs that are stored already."""

import time
from collections.abc import Sequence
from statistics import median, quantiles
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from bench import load
from bench.cpu import Meter
from dermtriage import rescoring
from dermtriage.activations import activate_release
from dermtriage.broker import make_celery, send_rescores
from dermtriage.models import Assessment
from dermtriage.releases import active_release
from dermtriage.scopes import Scope
from dermtriage.settings import Settings
from dermtriage_cli.release_folders import introduce_release

Sessions = sessionmaker[Session]


def rate(sessions: Sessions, settings: Settings, twin: str) -> tuple[float, float]:
    """Rescore everything with a twin; return images a second and CPU seconds an image.

    Counted in new assessment rows, from the first of them to the last: loading the release takes
    seconds, once a night, and would weigh as much as it never does in a run of hours.
    """
    images, release_id = _plan(sessions, settings, twin)
    first, start, meter = 0, 0.0, Meter()
    while True:
        done = _scored(sessions, release_id)
        now = time.perf_counter()
        if first == 0:
            first, start, meter = done, now, Meter()
        if done >= images:
            return (done - first) / (now - start), meter.seconds() / (done - first)
        time.sleep(0.02)


def latency_during(
    url: str, sessions: Sessions, settings: Settings, twin: str, requests: Sequence[load.Request]
) -> tuple[float, float]:
    """Send uploads one by one during a run; return median and 95th percentile of their seconds.

    Each is counted from its 202 to its assessment.
    """
    images, release_id = _plan(sessions, settings, twin)
    while not _scored(sessions, release_id):
        time.sleep(0.02)
    connection = load.connect(url)
    waited = []
    for request in requests:
        if _scored(sessions, release_id) >= images:
            raise RuntimeError("the run ended before all uploads were sent: take more photographs")
        image_id = load.post(connection, request)
        accepted = time.perf_counter()
        with sessions() as session:
            wait_until_scored(session, image_id)
        waited.append(time.perf_counter() - accepted)
    while _scored(sessions, release_id) < images:
        time.sleep(0.1)
    return median(waited), quantiles(waited, n=20)[-1]


def wait_until_scored(session: Session, image_id: UUID) -> None:
    """Look every two milliseconds whether an upload has its assessment."""
    found = select(func.count()).select_from(Assessment).where(Assessment.image_id == image_id)
    while not session.scalar(found):
        session.rollback()
        time.sleep(0.002)
    session.rollback()


def _plan(sessions: Sessions, settings: Settings, twin: str) -> tuple[int, int]:
    """Activate the twin and start a run over everything; return its images and the release."""
    with sessions.begin() as session:
        introduce_release(session, settings.releases_dir / twin)
        activate_release(
            session, name=twin, minimum_sensitivity=0.0, actor="bench", override_reason="bench"
        )
    with sessions.begin() as session:
        release = active_release(session)
        run = rescoring.plan_run(
            session, release=release, scope=Scope(kind="all"), actor="bench", chunk_images=32
        )
        images, release_id = run.images, release.id
    send_rescores(make_celery(settings), settings.scoring_threads)
    return images, release_id


def _scored(sessions: Sessions, release_id: int) -> int:
    rows = select(func.count()).select_from(Assessment).where(Assessment.release_id == release_id)
    with sessions() as session:
        return session.scalar(rows) or 0

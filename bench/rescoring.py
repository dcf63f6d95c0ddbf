"""Rescoring end to end: a run over photographs that are stored already."""

import shutil
import time
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from dermtriage import rescoring
from dermtriage.activations import activate_release
from dermtriage.broker import make_celery, send_rescores
from dermtriage.models import Assessment
from dermtriage.releases import active_release
from dermtriage.scopes import Scope
from dermtriage.settings import Settings
from dermtriage_cli.release_folders import introduce_release
from dermtriage_worker.ensemble.manifest import read_manifest, write_manifest

TWIN = "twin"
"""The same members under another name: a second release that costs as much as the first."""


def add_twin(releases: Path, name: str) -> None:
    """Copy a release under another name, so that everything has to be scored again."""
    shutil.copytree(releases / name, releases / TWIN)
    manifest = read_manifest(releases / TWIN)
    write_manifest(releases / TWIN, manifest.model_copy(update={"name": TWIN}))


def measure(sessions: sessionmaker[Session], settings: Settings) -> float:
    """Activate the twin, plan a run over everything, and return its images a second.

    Counted in new assessment rows, from the first of them to the last: loading the release takes
    seconds, once a night, and would weigh as much as it never does in a run of hours.
    """
    with sessions.begin() as session:
        introduce_release(session, settings.releases_dir / TWIN)
        activate_release(
            session, name=TWIN, minimum_sensitivity=0.0, actor="bench", override_reason="bench"
        )
    with sessions.begin() as session:
        release = active_release(session)
        run = rescoring.plan_run(
            session, release=release, scope=Scope(kind="all"), actor="bench", chunk_images=64
        )
        images, release_id = run.images, release.id
    send_rescores(make_celery(settings), settings.scoring_threads)
    rows = select(func.count()).select_from(Assessment).where(Assessment.release_id == release_id)
    first, start = 0, 0.0
    while True:
        with sessions() as session:
            done = session.scalar(rows) or 0
        now = time.perf_counter()
        if first == 0:
            first, start = done, now
        if done == images:
            return (done - first) / (now - start)
        time.sleep(0.02)

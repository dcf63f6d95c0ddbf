"""A worker with an active release, and a folder of another one that can become its shadow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session, sessionmaker
from tests import uploads
from tests.doubles import EnsembleLoader
from tests.integration.worker.scoring.shadow.shadow_release import SHADOW

from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.tiny import build_tiny_release
from dermtriage_worker.scoring.runtime import Runtime


@pytest.fixture
def releases(releases: Path) -> Path:
    """A folder with the active release and another one."""
    build_tiny_release(releases / SHADOW, seed=1)
    return releases


@pytest.fixture
def runtime(start: Callable[..., Runtime], releases: Path) -> Runtime:
    return start(releases_dir=releases, scoring_batch=4)


@pytest.fixture
def shadow(ensembles: EnsembleLoader) -> EnsembleLoader:
    """The loader of ensembles, whose `predict` replaces the shadow only."""
    ensembles.only = SHADOW
    return ensembles


@pytest.fixture
def send(
    sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID
) -> Callable[..., list[UUID]]:
    """Receive cases of one photograph each, and return these."""

    def run(count: int, **fields: Any) -> list[UUID]:
        return uploads.send(sessions, store, clinic_id, count, **fields)

    return run

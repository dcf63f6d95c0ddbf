"""A rescore run that has just started."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session, sessionmaker
from tests.integration.worker.scoring.interrupted_runs.started_run import StartedRun
from tests.runs import activate_and_plan, receive_and_score

from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.scoring.runtime import Runtime

Start = Callable[..., Runtime]


@pytest.fixture
def start_run(
    sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID, start: Start, second: str
) -> Callable[..., StartedRun]:
    def make(**changes: Any) -> StartedRun:
        runtime = start(**changes)
        images = receive_and_score(sessions, store, clinic_id, runtime, 3)
        return StartedRun(sessions, runtime, second, images, activate_and_plan(sessions, second))

    return make


@pytest.fixture
def started(start_run: Callable[..., StartedRun]) -> StartedRun:
    return start_run()

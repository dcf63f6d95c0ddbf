"""Leases while a batch runs: the heartbeat renews them, and a lost one fences what comes late."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE
from tests.doubles import EnsembleLoader
from tests.uploads import pending, scoring_states, send
from torch import Tensor

from dermtriage.core.enums import Scoring
from dermtriage.models import PendingImage, Worker
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending


def test_a_batch_that_took_too_long_is_dropped(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
) -> None:
    images = send(sessions, store, clinic_id, 1)
    other = uuid4()

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        with sessions.begin() as session:
            leased = PendingImage.lease_token.is_not(None)
            session.execute(update(PendingImage).where(leased).values(lease_expires_at=func.now()))
        with sessions.begin() as session:
            assert factories.lease_suspect(session, worker_id=other) is not None
        return real(batch)

    runtime = start()
    ensembles.predict = predict
    assert score_pending(runtime, None) == 0
    assert scoring_states(sessions, images) == [Scoring.PENDING]
    assert [(row.worker_id, row.attempts) for row in pending(sessions)] == [(other, 1)]


def test_the_heartbeat_renews_the_leases_of_running_batches(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
) -> None:
    send(sessions, store, clinic_id, 2)
    runtime = start()
    seen = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        with sessions.begin() as session:
            session.execute(update(PendingImage).values(lease_expires_at=func.now()))
        assert runtime.counts().busy == 1
        runtime.send_heartbeat()
        with sessions.begin() as session:
            seen.append(factories.lease_suspect(session))
            worker = session.get_one(Worker, runtime.worker_id)
            assert (worker.busy, worker.slots, worker.release) == (1, 1, RELEASE)
        return real(batch)

    ensembles.predict = predict
    assert score_pending(runtime, None) == 2
    assert seen == [None]
    runtime.send_heartbeat()
    with sessions() as session:
        worker = session.get_one(Worker, runtime.worker_id)
        assert (worker.busy, worker.batches, worker.completed) == (0, 1, 2)
    runtime.unregister()
    with sessions() as session:
        assert session.get(Worker, runtime.worker_id) is None

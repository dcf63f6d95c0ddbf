"""An outage of store, device or database gives images back, and costs them no attempt."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
import torch
from sqlalchemy import Connection, func, select, update
from sqlalchemy.orm import Session, sessionmaker
from tests.database_faults import RECORD, before_statement, kill
from tests.doubles import EnsembleLoader
from tests.uploads import (
    LONG_DELAY,
    assert_given_back,
    end_retry_delays,
    invariants_hold,
    pending,
    scoring_states,
    send,
    store_folder,
)
from torch import Tensor

from dermtriage.core.enums import Scoring
from dermtriage.core.errors import Unavailable
from dermtriage.core.settings import Settings
from dermtriage.models import Assessment, PendingImage
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.device import DeviceLost, DeviceOutOfMemory
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending


@pytest.mark.parametrize("mount_point", [False, True])
def test_an_outage_of_the_store_costs_no_attempt(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    mount_point: bool,
) -> None:
    images = send(sessions, store, clinic_id, 3)
    runtime = start(outage_delay=LONG_DELAY)
    folder = store_folder(settings)
    away = folder.rename(folder.with_name("away"))
    if mount_point:
        folder.mkdir()
    assert score_pending(runtime, None) == 0
    assert_given_back(sessions, 3)
    if mount_point:
        folder.rmdir()
    away.rename(folder)
    end_retry_delays(sessions)
    assert score_pending(runtime, None) == 3
    assert scoring_states(sessions, images) == [Scoring.SCORED] * 3


def test_a_rendition_that_cannot_be_stored_is_an_outage(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    send(sessions, store, clinic_id, 2)
    blocked = store_folder(settings) / "renditions"
    blocked.write_text("no folder")
    runtime = start(outage_delay=LONG_DELAY)
    assert score_pending(runtime, None) == 0
    assert_given_back(sessions, 2)
    blocked.unlink()
    end_retry_delays(sessions)
    assert score_pending(runtime, None) == 2


def test_a_batch_that_is_given_back_is_no_stall(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    send(sessions, store, clinic_id, 2)
    (store_folder(settings) / "renditions").write_text("no folder")
    runtime = start(outage_delay=0.01)
    before = runtime.running.ended
    assert score_pending(runtime, None) == 0
    assert runtime.running.ended > before, "the watchdog takes it for a batch that hangs"


def test_a_device_out_of_memory_costs_no_attempt(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
) -> None:
    send(sessions, store, clinic_id, 3)

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        raise DeviceOutOfMemory("The device is full.")

    runtime = start(outage_delay=LONG_DELAY)
    ensembles.predict = predict
    assert score_pending(runtime, None) == 0
    assert_given_back(sessions, 3)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("an illegal memory access was encountered"),
        RuntimeError("the library of the device gave up"),
    ],
)
def test_a_lost_device_ends_the_loop_and_each_image_is_tried_alone(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
    error: Exception,
) -> None:
    images = send(sessions, store, clinic_id, 3)

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        raise error

    runtime = start(outage_delay=0.01)
    ensembles.predict = predict
    with pytest.raises(DeviceLost):
        score_pending(runtime, None)
    # One of them may have broken the device: none is leased beside another from now on.
    rows = pending(sessions)
    assert [(row.suspect, row.attempts, row.lease_token) for row in rows] == [(True, 0, None)] * 3
    assert scoring_states(sessions, images) == [Scoring.PENDING] * 3
    assert runtime.counts().busy == 0
    # A device that is broken by itself stops the next process before it leases anything.
    with pytest.raises(type(error)):
        start()


def test_scores_are_recorded_once_the_database_is_back(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    images = send(sessions, store, clinic_id, 3)
    runtime = start()
    tries = []

    def kill_twice(count: int, connection: Connection) -> None:
        tries.append(count)
        if count < 2:
            kill(sessions, connection)

    before_statement(runtime, RECORD, kill_twice)
    assert score_pending(runtime, None) == 3
    assert tries == [0, 1, 2]
    assert scoring_states(sessions, images) == [Scoring.SCORED] * 3
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Assessment)) == 3
    assert invariants_hold(sessions)


def test_a_worker_that_is_stopped_in_an_outage_leaves_its_lease_behind(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    images = send(sessions, store, clinic_id, 2)
    runtime = start(outage_delay=LONG_DELAY)

    def stop(_: int, connection: Connection) -> None:
        runtime.stopping.set()
        kill(sessions, connection)

    before_statement(runtime, RECORD, stop)
    with pytest.raises(Unavailable):
        score_pending(runtime, None)
    assert scoring_states(sessions, images) == [Scoring.PENDING] * 2
    with sessions.begin() as session:  # the lease expires
        session.execute(update(PendingImage).values(lease_expires_at=func.now()))
    assert score_pending(start(), None) == 2
    assert invariants_hold(sessions)

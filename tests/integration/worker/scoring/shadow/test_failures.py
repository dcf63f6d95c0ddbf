"""Uploads are scored by the active release whatever goes wrong with the shadow."""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import torch
from sqlalchemy.orm import Session, sessionmaker
from tests.doubles import EnsembleLoader
from tests.integration.worker.scoring.shadow.shadow_release import (
    SHADOW,
    assert_scored,
    assessments_by,
    set_shadow,
    shadow_logs,
)
from torch import Tensor

from dermtriage.core.errors import Unavailable
from dermtriage.releases.queries import current_shadow
from dermtriage_worker.ensemble.device import DeviceLost, DeviceOutOfMemory
from dermtriage_worker.ensemble.manifest_file import MANIFEST_NAME
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending


@pytest.mark.parametrize("harm", ["manifest", "member", "missing"])
def test_a_broken_folder_of_a_shadow_is_logged_and_uploads_are_scored(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    caplog: pytest.LogCaptureFixture,
    harm: str,
) -> None:
    set_shadow(sessions, releases / SHADOW)
    if harm == "missing":
        shutil.rmtree(releases / SHADOW)
    else:
        file = MANIFEST_NAME if harm == "manifest" else "tiny_a.safetensors"
        with (releases / SHADOW / file).open("ab") as broken:
            broken.write(b"\n")
    images = send(6)
    assert score_pending(runtime, None) == 6
    assert_scored(sessions, images)
    assert assessments_by(sessions, SHADOW) == {}
    # One line per batch, not per photograph.
    found = shadow_logs(caplog)
    assert [(record.message, vars(record)["images"]) for record in found] == [
        ("shadow failed", 4),
        ("shadow failed", 2),
    ]
    assert all(SHADOW in vars(record)["reason"] for record in found)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Maria Muster has no such mole"),
        DeviceOutOfMemory("The device is full."),
        MemoryError(),
        Unavailable("The database cannot be reached."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_a_shadow_is_logged_and_uploads_are_scored(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    shadow: EnsembleLoader,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        raise error

    set_shadow(sessions, releases / SHADOW)
    shadow.predict = predict
    images = send(2)
    assert score_pending(runtime, None) == 2
    assert_scored(sessions, images)
    (record,) = shadow_logs(caplog)
    assert "Maria" not in vars(record)["reason"]
    with sessions() as session:
        assert current_shadow(session) is not None


def test_uploads_are_scored_although_the_database_refuses_a_row_of_the_shadow(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    shadow: EnsembleLoader,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        # PostgreSQL stores no zero byte.
        return [replace(prediction, inputs={"sex": "\0"}) for prediction in real(batch)]

    set_shadow(sessions, releases / SHADOW)
    shadow.predict = predict
    images = send(2)
    assert score_pending(runtime, None) == 2
    assert_scored(sessions, images)
    assert assessments_by(sessions, SHADOW) == {}
    assert len(shadow_logs(caplog)) == 1


def test_a_photograph_for_which_the_shadow_gives_no_number_goes_without_its_score_alone(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    shadow: EnsembleLoader,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        first, *others = real(batch)
        return [replace(first, out_of_scope=math.nan), *others]

    set_shadow(sessions, releases / SHADOW)
    shadow.predict = predict
    images = send(3)
    assert score_pending(runtime, None) == 3
    assert_scored(sessions, images)
    assert set(assessments_by(sessions, SHADOW)) == set(images[1:])
    assert [vars(record)["images"] for record in shadow_logs(caplog)] == [1]


def test_a_shadow_under_which_the_device_fails_is_unset_and_the_upload_is_scored(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    shadow: EnsembleLoader,
) -> None:
    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        raise torch.AcceleratorError("an illegal memory access was encountered")

    set_shadow(sessions, releases / SHADOW)
    shadow.predict = predict
    images = send(2)
    with pytest.raises(DeviceLost):
        score_pending(runtime, None)
    assert_scored(sessions, images)
    with sessions() as session:
        # The next process would lose its device again, and with it what other threads score.
        assert current_shadow(session) is None


def test_a_worker_that_stops_does_not_wait_for_the_shadow(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    ensembles: EnsembleLoader,
) -> None:
    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        runtime.stopping.set()
        return real(batch)

    set_shadow(sessions, releases / SHADOW)
    ensembles.predict = predict
    images = send(2)
    assert score_pending(runtime, None) == 2
    assert_scored(sessions, images)
    assert assessments_by(sessions, SHADOW) == {}

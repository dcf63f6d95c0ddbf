"""A worker scores with a shadow release: its scores are recorded, and it harms no upload."""

import logging
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import torch
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories, uploads
from tests.conftest import RELEASE
from tests.doubles import EnsembleLoader
from tests.factories import MONDAY
from torch import Tensor

from dermtriage.core.enums import Scoring
from dermtriage.core.errors import Unavailable
from dermtriage.models import Assessment, PendingImage, Release, TriageEvent
from dermtriage.operations import invariants
from dermtriage.releases.activation import activate_release, add_release, set_shadow_release
from dermtriage.releases.queries import active_release, current_shadow, find_release
from dermtriage.review.case_detail import read_case
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.device import DeviceLost, DeviceOutOfMemory
from dermtriage_worker.ensemble.image.photograph import decode_rendition
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest import (
    MANIFEST_NAME,
    Preprocessing,
    manifest_sha256,
    read_manifest,
    write_manifest,
)
from dermtriage_worker.ensemble.tiny import build_tiny_release
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending

SHADOW = "next"


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
    """What predicts for the shadow alone."""
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


def follow(sessions: sessionmaker[Session], folder: Path) -> None:
    """Make the release of this folder the shadow."""
    with sessions.begin() as session:
        add_release(
            session,
            name=folder.name,
            manifest=read_manifest(folder).model_dump(mode="json"),
            sha256=bytes.fromhex(manifest_sha256(folder)),
        )
        set_shadow_release(session, name=folder.name)


def assessed_by(sessions: sessionmaker[Session], name: str) -> dict[UUID, Assessment]:
    with sessions() as session:
        rows = session.scalars(select(Assessment).join(Release).where(Release.name == name))
        return {row.image_id: row for row in rows}


def history(sessions: sessionmaker[Session]) -> list[tuple[str, str, int | None]]:
    with sessions() as session:
        rows = session.scalars(select(TriageEvent).order_by(TriageEvent.id))
        return [(row.kind, row.to_severity, row.release_id) for row in rows]


def assert_scored(sessions: sessionmaker[Session], images: Sequence[UUID]) -> None:
    """Every photograph is scored by the active release, at its first attempt."""
    with sessions() as session:
        rows = [factories.image(session, image_id) for image_id in images]
        assert {row.scoring for row in rows} == {Scoring.SCORED}
        assert {row.release_id for row in rows} == {active_release(session).id}
        assert {row.failure for row in rows} == {None}
        assert session.scalar(select(func.count()).select_from(PendingImage)) == 0
        assert invariants.check_invariants(session) == {}


@pytest.mark.parametrize("size", [None, 96])  # None: that of the active release
def test_a_shadow_records_its_scores_of_the_same_rendition_and_inputs(
    sessions: sessionmaker[Session],
    store: ImageStore,
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    size: int | None,
) -> None:
    if size:
        changes = {"preprocessing": Preprocessing(size=size)}
        manifest = read_manifest(releases / SHADOW).model_copy(update=changes)
        write_manifest(releases / SHADOW, manifest)
    follow(sessions, releases / SHADOW)
    images = send(6, age_approx=50, sex="female")
    assert score_pending(runtime, None) == 6
    assert_scored(sessions, images)
    rows = assessed_by(sessions, SHADOW)
    assert set(rows) == set(images)
    ensemble = Ensemble.load(releases / SHADOW, "cpu")
    for image_id, row in rows.items():
        square = decode_rendition(store.get_rendition(image_id), ensemble).square
        (again,) = ensemble.predict([square], [{"age_approx": 50, "sex": "female"}])
        assert row.p_severe == pytest.approx(again.p_severe, abs=1e-3)
        assert row.members.keys() == again.members.keys()
        assert row.inputs == again.inputs == {"sex": "female", "age_approx": 50}
        assert row.device == "cpu"
    own = assessed_by(sessions, RELEASE)
    assert any(abs(own[each].p_severe - rows[each].p_severe) > 1e-3 for each in images)


def test_a_shadow_is_seen_by_nobody(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
) -> None:
    without = send(3)
    assert score_pending(runtime, None) == 3
    before = history(sessions)
    follow(sessions, releases / SHADOW)
    images = send(3)
    assert score_pending(runtime, None) == 3
    # The same photographs as before: their cases have the same history.
    assert history(sessions)[len(before) :] == before
    assert assessed_by(sessions, SHADOW).keys() == set(images)
    with sessions() as session:
        for image_id, same in zip(images, without, strict=True):
            one, other = (factories.image(session, each) for each in (image_id, same))
            assert one.severity is other.severity
            case = read_case(session, case_id=one.case_id, now=MONDAY)
            assert [shown.release_name for shown in case.images] == [RELEASE]
    assert (runtime.counts().batches, runtime.counts().completed) == (2, 6)


def test_a_shadow_that_became_the_active_release_triages(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
) -> None:
    follow(sessions, releases / SHADOW)
    (first,) = send(1)
    assert score_pending(runtime, None) == 1
    with sessions.begin() as session:
        activate_release(
            session, name=SHADOW, minimum_sensitivity=0.95, actor="a test", override_reason="why"
        )
    (second,) = send(1)
    assert score_pending(runtime, None) == 1
    with sessions() as session:
        old, new = find_release(session, RELEASE), find_release(session, SHADOW)
        assert factories.image(session, first).release_id == old.id
        assert factories.image(session, second).release_id == new.id
        # Its scores as a shadow are not shown; those of the release that triaged are.
        case_id = factories.image(session, first).case_id
        (shown,) = read_case(session, case_id=case_id, now=MONDAY).images
        assert shown.release_name == RELEASE
    assert assessed_by(sessions, RELEASE).keys() == {first}
    assert assessed_by(sessions, SHADOW).keys() == {first, second}


def test_a_shadow_that_is_unset_scores_no_more(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
) -> None:
    follow(sessions, releases / SHADOW)
    with sessions.begin() as session:
        set_shadow_release(session, name=None)
    send(1)
    assert score_pending(runtime, None) == 1
    assert assessed_by(sessions, SHADOW) == {}


# A shadow breaks


def shadow_logs(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [
        record for record in caplog.records if record.name == "dermtriage_worker.scoring.shadow"
    ]


@pytest.mark.parametrize("harm", ["manifest", "member", "missing"])
def test_a_broken_folder_of_a_shadow_is_logged_and_harms_no_upload(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    caplog: pytest.LogCaptureFixture,
    harm: str,
) -> None:
    follow(sessions, releases / SHADOW)
    if harm == "missing":
        shutil.rmtree(releases / SHADOW)
    else:
        file = MANIFEST_NAME if harm == "manifest" else "tiny_a.safetensors"
        with (releases / SHADOW / file).open("ab") as broken:
            broken.write(b"\n")
    images = send(6)
    assert score_pending(runtime, None) == 6
    assert_scored(sessions, images)
    assert assessed_by(sessions, SHADOW) == {}
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
def test_a_shadow_that_fails_fails_alone(
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

    follow(sessions, releases / SHADOW)
    shadow.predict = predict
    images = send(2)
    assert score_pending(runtime, None) == 2
    assert_scored(sessions, images)
    (record,) = shadow_logs(caplog)
    assert "Maria" not in vars(record)["reason"]
    with sessions() as session:
        assert current_shadow(session) is not None


def test_a_shadow_s_row_that_the_database_refuses_harms_no_upload(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    shadow: EnsembleLoader,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        return [replace(said, p_severe=math.nan) for said in real(batch)]

    follow(sessions, releases / SHADOW)
    shadow.predict = predict
    images = send(2)
    assert score_pending(runtime, None) == 2
    assert_scored(sessions, images)
    assert assessed_by(sessions, SHADOW) == {}
    assert len(shadow_logs(caplog)) == 1


def test_a_shadow_under_which_the_device_fails_is_unset_and_the_upload_is_scored(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    shadow: EnsembleLoader,
) -> None:
    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        raise torch.AcceleratorError("an illegal memory access was encountered")

    follow(sessions, releases / SHADOW)
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

    follow(sessions, releases / SHADOW)
    ensembles.predict = predict
    images = send(2)
    assert score_pending(runtime, None) == 2
    assert_scored(sessions, images)
    assert assessed_by(sessions, SHADOW) == {}

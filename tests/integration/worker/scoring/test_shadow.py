"""The real worker scores with a shadow: it records, and whatever it does touches no upload."""

import logging
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import torch
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE
from tests.factories import MONDAY, photograph
from torch import Tensor

from dermtriage.core.enums import Scoring
from dermtriage.core.errors import Unavailable
from dermtriage.core.settings import Settings
from dermtriage.models import Assessment, PendingImage, Release, TriageEvent
from dermtriage.operations import invariants
from dermtriage.releases.activation import activate_release, add_release, set_shadow_release
from dermtriage.releases.queries import active_release, current_shadow, find_release
from dermtriage.review import worklist
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.device import DeviceLost, DeviceOutOfMemory
from dermtriage_worker.ensemble.image.photograph import decode_rendition
from dermtriage_worker.ensemble.inference import Ensemble, Prediction
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
def releases(settings: Settings, tmp_path: Path) -> Path:
    """A folder with the active release and another one."""
    folder = tmp_path / "releases"
    shutil.copytree(settings.releases_dir / RELEASE, folder / RELEASE)
    build_tiny_release(folder / SHADOW, seed=1)
    return folder


@pytest.fixture
def runtime(settings: Settings, releases: Path) -> Iterator[Runtime]:
    """A scoring process, within this one."""
    changes = {"releases_dir": releases, "scoring_threads": 1, "scoring_batch": 4}
    started = Runtime(settings.model_copy(update=changes))
    yield started
    started.sessions.kw["bind"].dispose()


@pytest.fixture
def send(
    sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID
) -> Callable[..., list[UUID]]:
    """Take in cases of one photograph each, and return these."""

    def run(count: int, **fields: Any) -> list[UUID]:
        images: list[UUID] = []
        with sessions.begin() as session:
            for number in range(count):
                receipt = factories.receive(
                    session, clinic_id, store=store, files=[photograph(number)], **fields
                )
                images += receipt.pending_image_ids
        return images

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


def said_by(sessions: sessionmaker[Session], name: str) -> dict[UUID, Assessment]:
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
def test_a_shadow_records_what_it_says_of_the_same_rendition_and_inputs(
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
    rows = said_by(sessions, SHADOW)
    assert set(rows) == set(images)
    ensemble = Ensemble.load(releases / SHADOW, "cpu")
    for image_id, row in rows.items():
        prepared = decode_rendition(store.get_rendition(image_id), ensemble).square
        (again,) = ensemble.predict([prepared], [{"age_approx": 50, "sex": "female"}])
        assert row.p_severe == pytest.approx(again.p_severe, abs=1e-3)
        assert row.members.keys() == again.members.keys()
        assert row.inputs == again.inputs == {"sex": "female", "age_approx": 50}
        assert row.device == "cpu"
    own = said_by(sessions, RELEASE)
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
    # The same photographs as before: their cases have the same history, and not a word more.
    assert history(sessions)[len(before) :] == before
    assert said_by(sessions, SHADOW).keys() == set(images)
    with sessions() as session:
        for image_id, same in zip(images, without, strict=True):
            one, other = (factories.image(session, each) for each in (image_id, same))
            assert one.severity is other.severity
            case = worklist.read_case(session, case_id=one.case_id, now=MONDAY)
            assert [shown.release_name for shown in case.images] == [RELEASE]
    assert (runtime.pulse().batches, runtime.pulse().completed) == (2, 6)


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
        # What it said as a shadow stays in the dark until the photograph is scored again.
        case_id = factories.image(session, first).case_id
        (shown,) = worklist.read_case(session, case_id=case_id, now=MONDAY).images
        assert shown.release_name == RELEASE
    assert said_by(sessions, RELEASE).keys() == {first}
    assert said_by(sessions, SHADOW).keys() == {first, second}


def test_a_shadow_ends_when_it_is_told_to(
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
    assert said_by(sessions, SHADOW) == {}


# A shadow breaks


Predict = Callable[[Callable[..., list[Prediction]], Sequence[Tensor]], list[Prediction]]


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> Callable[[Predict], None]:
    """Have something else predict for the shadow; it is handed the real thing first."""
    real = Ensemble.predict

    def replace_by(predict: Predict) -> None:
        def run(ensemble: Ensemble, batch: Sequence[Tensor], inputs: Any = None) -> Any:
            if ensemble.manifest.name != SHADOW:
                return real(ensemble, batch, inputs)
            return predict(lambda part: real(ensemble, part, inputs), batch)

        monkeypatch.setattr(Ensemble, "predict", run)

    return replace_by


NAME = "dermtriage_worker.scoring.shadow"


def complaints(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
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
    assert said_by(sessions, SHADOW) == {}
    # Two batches, two times: no line a photograph.
    found = complaints(caplog)
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
    instead: Callable[[Predict], None],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def predict(real: Callable[..., list[Prediction]], batch: Sequence[Tensor]) -> Any:
        raise error

    follow(sessions, releases / SHADOW)
    instead(predict)
    images = send(2)
    assert score_pending(runtime, None) == 2
    assert_scored(sessions, images)
    (record,) = complaints(caplog)
    assert "Maria" not in vars(record)["reason"]
    with sessions() as session:
        assert current_shadow(session) is not None


def test_what_the_database_refuses_of_a_shadow_harms_no_upload(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    instead: Callable[[Predict], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def predict(real: Callable[..., list[Prediction]], batch: Sequence[Tensor]) -> Any:
        return [replace(said, p_severe=math.nan) for said in real(batch)]

    follow(sessions, releases / SHADOW)
    instead(predict)
    images = send(2)
    assert score_pending(runtime, None) == 2
    assert_scored(sessions, images)
    assert said_by(sessions, SHADOW) == {}
    assert len(complaints(caplog)) == 1


def test_a_shadow_that_loses_the_device_is_ended_and_the_upload_stands(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    instead: Callable[[Predict], None],
) -> None:
    def predict(real: Callable[..., list[Prediction]], batch: Sequence[Tensor]) -> Any:
        raise torch.AcceleratorError("an illegal memory access was encountered")

    follow(sessions, releases / SHADOW)
    instead(predict)
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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Ensemble.predict

    def predict(*args: Any) -> list[Prediction]:
        runtime.stopping.set()
        return real(*args)

    follow(sessions, releases / SHADOW)
    monkeypatch.setattr(Ensemble, "predict", predict)
    images = send(2)
    assert score_pending(runtime, None) == 2
    assert_scored(sessions, images)
    assert said_by(sessions, SHADOW) == {}

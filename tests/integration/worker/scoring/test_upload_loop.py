"""The scoring loop over real servers: what breaks stays alone, and an outage costs nothing."""

import io
import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import torch
from PIL import ExifTags, Image
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE
from tests.factories import photograph
from torch import Tensor

from dermtriage.core.enums import CLASSES, ImageType, Scoring, Severity
from dermtriage.core.errors import ReleaseInvalid, Unavailable
from dermtriage.core.settings import Settings
from dermtriage.models import Assessment, Case, PendingImage, Release, Worker
from dermtriage.operations import invariants
from dermtriage.releases.queries import active_policy, active_release
from dermtriage.scoring import assessments, recording
from dermtriage.scoring.leases import most_urgent_images
from dermtriage.storage.image_store import ImageStore
from dermtriage.triage.image_severity import triage_image
from dermtriage_cli.offline_scoring.scoring import score_photographs
from dermtriage_worker.ensemble.device import DeviceLost, DeviceOutOfMemory
from dermtriage_worker.ensemble.image.photograph import decode_original
from dermtriage_worker.ensemble.inference import Ensemble, Prediction
from dermtriage_worker.ensemble.manifest import MANIFEST_NAME, manifest_sha256
from dermtriage_worker.ensemble.tiny import build_tiny_release
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.scoring import score_labelled
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending

AT_ONCE, LATER = 1e-6, 3600.0
"""Seconds for which work rests after a failure: not even until the next transaction, or so long
that nobody tries again in a test."""


@pytest.fixture
def start(settings: Settings) -> Iterator[Callable[..., Runtime]]:
    """Start scoring processes, within this one, that do not rest after a failure."""
    started = []

    def run(**changes: Any) -> Runtime:
        asked = {"outage_delay": AT_ONCE, "scoring_threads": 1} | changes
        started.append(Runtime(settings.model_copy(update=asked)))
        return started[-1]

    yield run
    for runtime in started:
        runtime.sessions.kw["bind"].dispose()


def send(
    sessions: sessionmaker[Session], store: ImageStore, clinic_id: UUID, count: int, **changes: Any
) -> list[UUID]:
    """Take in cases of one photograph each and return the images, the oldest first."""
    images = []
    with sessions.begin() as session:
        for number in range(count):
            now = factories.MONDAY + timedelta(minutes=number)
            files = [photograph(number)]
            receipt = factories.receive(
                session, clinic_id, store=store, files=files, now=now, **changes
            )
            images += receipt.pending_image_ids
    return images


def scoring(sessions: sessionmaker[Session], images: Sequence[UUID]) -> list[Scoring]:
    with sessions() as session:
        return [factories.image(session, image_id).scoring for image_id in images]


def waiting(sessions: sessionmaker[Session]) -> list[PendingImage]:
    with sessions() as session:
        return list(session.scalars(select(PendingImage).order_by(PendingImage.due_at)))


def awake(sessions: sessionmaker[Session]) -> None:
    """Let time pass until what was given back may be tried again."""
    with sessions.begin() as session:
        session.execute(update(PendingImage).values(not_before=None))


def sound(sessions: sessionmaker[Session]) -> bool:
    with sessions() as session:
        return invariants.check_invariants(session) == {}


def spoil(settings: Settings, image_id: UUID, content: bytes | None) -> None:
    """Replace an original in the store, or remove it."""
    folder = Path(settings.store_url.removeprefix("file://")) / "originals" / image_id.hex[-2:]
    if content is None:
        (folder / str(image_id)).unlink()
    else:
        (folder / str(image_id)).write_bytes(content)


Predict = Callable[[Ensemble, Sequence[Tensor]], list[Prediction]]


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Have something else predict; it is handed the real thing first."""
    real = Ensemble.predict

    def replace_by(predict: Callable[..., Any]) -> None:
        def run(ensemble: Ensemble, batch: Sequence[Tensor], _: Any = None) -> list[Prediction]:
            said: list[Prediction] = predict(lambda part: real(ensemble, part), batch)
            return said

        monkeypatch.setattr(Ensemble, "predict", run)

    return replace_by


# All is well


def test_a_backlog_is_scored_in_full_batches(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    instead: Callable[[Callable[..., Any]], None],
) -> None:
    images = send(sessions, store, clinic_id, 10)
    sizes = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        sizes.append(len(batch))
        return real(batch)

    runtime = start(scoring_batch=4)
    instead(predict)
    assert score_pending(runtime, images[7]) == 10
    assert sizes == [4, 4, 2]
    assert scoring(sessions, images) == [Scoring.SCORED] * 10
    assert waiting(sessions) == []
    assert (runtime.pulse().batches, runtime.pulse().completed) == (3, 10)
    assert runtime.pulse().busy == 0
    with sessions() as session:
        _, policy = active_policy(session)
        for row in session.scalars(select(Assessment)):
            assert sum(row.probabilities) == pytest.approx(1, abs=1e-3)
            severe = sum(row.probabilities[CLASSES.index(name)] for name in ("akiec", "bcc", "mel"))
            assert row.p_severe == pytest.approx(severe, abs=1e-3)
            assert set(row.members) == {"tiny_a", "tiny_b"}
            assert row.device == "cpu"
            image = factories.image(session, row.image_id)
            said = triage_image(assessments.finding(row), policy).severity
            assert (image.severity, image.case.severity) == (said, said)
            assert store.get_rendition(image.id)
    assert sound(sessions)
    assert score_pending(runtime, images[0]) == 0
    assert score_pending(runtime, None) == 0


def test_worker_score_and_evaluation_say_the_same(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    settings: Settings,
    start: Callable[..., Runtime],
    tmp_path: Path,
) -> None:
    known = {"age_approx": 70, "sex": "male"}
    (image_id,) = send(sessions, store, clinic_id, 1, **known)
    score_pending(start(), None)
    with sessions() as session:
        stored = session.scalars(select(Assessment).where(Assessment.image_id == image_id)).one()
    path = tmp_path / "A.jpg"
    path.write_bytes(store.get_original(image_id))
    ensemble = Ensemble.load(settings.releases_dir / RELEASE, "cpu")
    (scored,) = score_photographs([path], ensemble, batch=4, inputs={"A": known})
    labelled = Labelled("A", path, "nv", "L1", inputs=known)
    (evaluated,) = score_labelled(
        ensemble, [labelled], seen=Nothing(), out_of_fold=False, on_progress=lambda _: None
    )
    assert scored.prediction == evaluated
    assert stored.inputs == evaluated.inputs == known
    assert stored.p_severe == pytest.approx(evaluated.p_severe, abs=1e-6)
    assert stored.disagreement == pytest.approx(evaluated.disagreement, abs=1e-6)
    by_class = dict(zip(CLASSES, stored.probabilities, strict=True))
    assert by_class == pytest.approx(evaluated.probabilities, abs=1e-6)
    assert stored.quality == pytest.approx(evaluated.quality, abs=1e-6)


class Nothing:
    """A training set without photographs."""

    def fold_of(self, image_id: str) -> None:
        """None of them was learnt from."""


def test_an_overview_is_neither_scored_nor_rendered(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(
            session, clinic_id, store=store, types=[ImageType.OVERVIEW, ImageType.CLOSE_UP]
        )
    overview, close_up = (image.image_id for image in receipt.images)
    assert score_pending(start(), None) == 1
    assert scoring(sessions, [overview, close_up]) == [Scoring.NOT_SCORED, Scoring.SCORED]
    assert sound(sessions)


def test_threads_of_two_processes_score_each_image_once(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    images = send(sessions, store, clinic_id, 12)
    runtimes = [start(scoring_batch=2), start(scoring_batch=2)] * 2
    done = factories.together([lambda r=runtime: score_pending(r, None) for runtime in runtimes])
    assert sum(done) == 12
    assert scoring(sessions, images) == [Scoring.SCORED] * 12
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Assessment)) == 12
    assert sound(sessions)


def test_the_rendition_is_stored_upright_and_tells_nothing(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    instead: Callable[[Callable[..., Any]], None],
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "Maria Muster"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (1.0, 2.0, 3.0)
    out = io.BytesIO()
    picture = Image.open(io.BytesIO(photograph(3)))
    picture.save(out, "JPEG", exif=exif, comment=b"Maria Muster")
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, store=store, files=[out.getvalue()])
    (image_id,) = receipt.pending_image_ids
    runtime = start()
    seen: list[Tensor] = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        seen.extend(batch)
        return real(batch)

    instead(predict)
    assert score_pending(runtime, image_id) == 1

    rendition = store.get_rendition(image_id)
    assert b"Maria" not in rendition
    shown = Image.open(io.BytesIO(rendition))
    assert shown.format == "JPEG"
    assert shown.size == (120, 160)
    assert not shown.getexif()
    assert set(shown.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert store.get_original(image_id) == out.getvalue()

    # What was scored is what was stored, and scoring it again gives what was recorded.
    with sessions() as session:
        ensemble = runtime.ensembles.get(active_release(session))
        row = session.get_one(Assessment, (active_release(session).id, image_id))
    prepared = ensemble.prepare(ensemble.open(rendition))
    assert torch.equal(prepared, seen[0])
    (again,) = ensemble.predict([prepared])
    assert again.p_severe == pytest.approx(row.p_severe, abs=1e-3)
    assert [again.probabilities[name] for name in CLASSES] == pytest.approx(
        row.probabilities, abs=1e-3
    )
    assert again.disagreement == pytest.approx(row.disagreement, abs=1e-3)


# One image breaks


@pytest.mark.parametrize("content", [b"garbage", b"", photograph(1)[:900], None])
def test_a_poison_image_fails_alone_and_its_neighbours_are_scored(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    content: bytes | None,
) -> None:
    images = send(sessions, store, clinic_id, 5)
    spoil(settings, images[2], content)
    assert score_pending(start(scoring_batch=3, max_attempts=2), None) == 4
    expected = [Scoring.SCORED] * 5
    expected[2] = Scoring.FAILED
    assert scoring(sessions, images) == expected
    assert waiting(sessions) == []
    with sessions() as session:
        poison = factories.image(session, images[2])
        assert poison.failure
        assert (poison.case.severity, poison.case.lane) == (Severity.UNSCORED, 1)
    assert sound(sessions)


def test_an_image_that_failed_once_rests_and_then_is_tried_alone(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    instead: Callable[[Callable[..., Any]], None],
) -> None:
    images = send(sessions, store, clinic_id, 3)
    spoil(settings, images[0], b"garbage")
    runtime = start(outage_delay=LATER)
    assert score_pending(runtime, None) == 2
    (row,) = waiting(sessions)
    assert (row.image_id, row.attempts, row.lease_token) == (images[0], 1, None)
    assert row.last_error
    spoil(settings, images[0], photograph(0))
    assert score_pending(runtime, images[0]) == 0
    awake(sessions)
    assert score_pending(runtime, images[0]) == 1
    assert sound(sessions)


def test_a_photograph_that_breaks_the_ensemble_is_found_by_halving(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    instead: Callable[[Callable[..., Any]], None],
) -> None:
    images = send(sessions, store, clinic_id, 8)
    runtime = start(scoring_batch=8, max_attempts=1)
    with sessions() as session:
        ensemble = runtime.ensembles.get(active_release(session))
    poison = decode_original(photograph(5), ensemble).square
    sizes = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        sizes.append(len(batch))
        if any(torch.equal(tensor, poison) for tensor in batch):
            raise ValueError("Maria Muster has no such mole")
        return real(batch)

    instead(predict)
    assert score_pending(runtime, None) == 7
    # Once it stands alone, a black square is tried as well: the device is not to blame.
    assert sizes == [8, 4, 4, 2, 1, 1, 1, 2]
    expected = [Scoring.SCORED] * 8
    expected[5] = Scoring.FAILED
    assert scoring(sessions, images) == expected
    with sessions() as session:
        # What a foreign exception says may quote what it read.
        assert factories.image(session, images[5]).failure == "ValueError"
    assert sound(sessions)


@pytest.mark.parametrize("field", ["p_severe", "disagreement"])
def test_a_score_that_is_no_number_is_no_score(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    instead: Callable[[Callable[..., Any]], None],
    field: str,
) -> None:
    images = send(sessions, store, clinic_id, 3)
    runtime = start(max_attempts=1)
    with sessions() as session:
        ensemble = runtime.ensembles.get(active_release(session))
    strange = decode_original(photograph(1), ensemble).square

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        return [
            replace(said, **{field: math.nan}) if torch.equal(tensor, strange) else said
            for said, tensor in zip(real(batch), batch, strict=True)
        ]

    instead(predict)
    assert score_pending(runtime, None) == 2
    assert scoring(sessions, images) == [Scoring.SCORED, Scoring.FAILED, Scoring.SCORED]
    assert sound(sessions)


# An outage


def assert_given_back(sessions: sessionmaker[Session], count: int) -> None:
    """Nothing lost, nothing counted, and nobody tries again at once."""
    rows = waiting(sessions)
    assert [(row.attempts, row.lease_token, row.worker_id) for row in rows] == [
        (0, None, None)
    ] * count
    assert all(row.not_before is not None and row.last_error is not None for row in rows)
    with sessions() as session:
        assert most_urgent_images(session, 9, max_attempts=3) == []
    assert sound(sessions)


@pytest.mark.parametrize("mount_point", [False, True])
def test_an_outage_of_the_store_gives_back_and_costs_no_attempt(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    mount_point: bool,
) -> None:
    images = send(sessions, store, clinic_id, 3)
    runtime = start(outage_delay=LATER)
    folder = Path(settings.store_url.removeprefix("file://"))
    away = folder.rename(folder.with_name("away"))
    if mount_point:
        folder.mkdir()
    assert score_pending(runtime, None) == 0
    assert_given_back(sessions, 3)
    if mount_point:
        folder.rmdir()
    away.rename(folder)
    awake(sessions)
    assert score_pending(runtime, None) == 3
    assert scoring(sessions, images) == [Scoring.SCORED] * 3


def test_a_rendition_that_cannot_be_stored_is_an_outage(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    send(sessions, store, clinic_id, 2)
    blocked = Path(settings.store_url.removeprefix("file://")) / "renditions"
    blocked.write_text("no folder")
    runtime = start(outage_delay=LATER)
    assert score_pending(runtime, None) == 0
    assert_given_back(sessions, 2)
    blocked.unlink()
    awake(sessions)
    assert score_pending(runtime, None) == 2


def test_a_device_out_of_memory_gives_back(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    instead: Callable[[Callable[..., Any]], None],
) -> None:
    send(sessions, store, clinic_id, 3)

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        raise DeviceOutOfMemory("The device is full.")

    runtime = start(outage_delay=LATER)
    instead(predict)
    assert score_pending(runtime, None) == 0
    assert_given_back(sessions, 3)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("an illegal memory access was encountered"),
        RuntimeError("the library of the device gave up"),
    ],
)
def test_a_lost_device_ends_the_loop_and_its_batch_is_tried_alone(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    instead: Callable[[Callable[..., Any]], None],
    error: Exception,
) -> None:
    images = send(sessions, store, clinic_id, 3)

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        raise error

    runtime = start(outage_delay=0.01)
    instead(predict)
    with pytest.raises(DeviceLost):
        score_pending(runtime, None)
    # One of them may have broken the device: none is claimed beside another from now on.
    assert [(row.attempts, row.lease_token) for row in waiting(sessions)] == [(1, None)] * 3
    assert scoring(sessions, images) == [Scoring.PENDING] * 3
    assert runtime.pulse().busy == 0
    # A device that is broken by itself stops the next process before it claims anything.
    with pytest.raises(type(error)):
        start()


def test_what_the_database_refuses_fails_alone(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    instead: Callable[[Callable[..., Any]], None],
) -> None:
    images = send(sessions, store, clinic_id, 4)
    runtime = start(max_attempts=1)

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        said = real(batch)
        if len(batch) == 4:
            said[2] = replace(said[2], quality={"sharpness": float("inf")})
        return said

    instead(predict)
    assert score_pending(runtime, None) == 3
    expected = [Scoring.SCORED] * 4
    expected[2] = Scoring.FAILED
    assert scoring(sessions, images) == expected
    assert sound(sessions)


def test_a_store_that_is_slow_to_fail_is_no_stall(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    send(sessions, store, clinic_id, 2)
    (Path(settings.store_url.removeprefix("file://")) / "renditions").write_text("no folder")
    runtime = start(outage_delay=0.01)
    before = runtime.ended
    assert score_pending(runtime, None) == 0
    assert runtime.ended > before, "the watchdog takes a batch given back for a hung one"


def test_an_outage_of_the_database_while_recording_is_waited_out(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = send(sessions, store, clinic_id, 3)
    runtime = start()
    real, calls = recording.record_scores, Counter[str]()

    def record(session: Session, *args: Any, **kwargs: Any) -> int:
        calls["record"] += 1
        written = real(session, *args, **kwargs)
        if calls["record"] < 3:
            session.flush()
            with sessions.begin() as other:
                pid = session.scalar(text("SELECT pg_backend_pid()"))
                other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        return written

    monkeypatch.setattr(recording, "record_scores", record)
    assert score_pending(runtime, None) == 3
    assert calls["record"] == 3
    assert scoring(sessions, images) == [Scoring.SCORED] * 3
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Assessment)) == 3
    assert sound(sessions)


def test_a_worker_that_is_stopped_in_an_outage_leaves_its_lease_behind(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = send(sessions, store, clinic_id, 2)
    runtime = start(outage_delay=LATER)

    def record(*_: Any, **__: Any) -> int:
        runtime.stopping.set()
        raise Unavailable("The database cannot be reached.")

    monkeypatch.setattr(recording, "record_scores", record)
    with pytest.raises(Unavailable):
        score_pending(runtime, None)
    monkeypatch.undo()
    assert scoring(sessions, images) == [Scoring.PENDING] * 2
    with sessions.begin() as session:  # the lease runs out
        session.execute(update(PendingImage).values(lease_expires_at=func.now()))
    assert score_pending(start(), None) == 2
    assert sound(sessions)


def test_a_stopping_worker_takes_nothing_new(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    images = send(sessions, store, clinic_id, 1)
    runtime = start()
    runtime.stopping.set()
    assert score_pending(runtime, images[0]) == 0
    assert [row.attempts for row in waiting(sessions)] == [0]


# Leases while a batch runs


def test_a_batch_that_took_too_long_is_dropped(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    instead: Callable[[Callable[..., Any]], None],
) -> None:
    images = send(sessions, store, clinic_id, 1)
    other = uuid4()

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        with sessions.begin() as session:
            leased = PendingImage.lease_token.is_not(None)
            session.execute(update(PendingImage).where(leased).values(lease_expires_at=func.now()))
        with sessions.begin() as session:
            assert len(factories.take(session, worker_id=other)) == 1
        return real(batch)

    runtime = start()
    instead(predict)
    assert score_pending(runtime, None) == 0
    assert scoring(sessions, images) == [Scoring.PENDING]
    assert [(row.worker_id, row.attempts) for row in waiting(sessions)] == [(other, 2)]


def test_the_heartbeat_keeps_the_leases_of_running_batches(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    instead: Callable[[Callable[..., Any]], None],
) -> None:
    send(sessions, store, clinic_id, 2)
    runtime = start()
    seen = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        with sessions.begin() as session:
            session.execute(update(PendingImage).values(lease_expires_at=func.now()))
        assert runtime.pulse().busy == 1
        runtime.beat()
        with sessions.begin() as session:
            seen.append(factories.take(session))
            worker = session.get_one(Worker, runtime.worker_id)
            assert (worker.busy, worker.slots, worker.release) == (1, 1, RELEASE)
        return real(batch)

    instead(predict)
    assert score_pending(runtime, None) == 2
    assert seen == [[]]
    runtime.beat()
    with sessions() as session:
        worker = session.get_one(Worker, runtime.worker_id)
        assert (worker.busy, worker.batches, worker.completed) == (0, 1, 2)
    runtime.retire()
    with sessions() as session:
        assert session.get(Worker, runtime.worker_id) is None


def test_a_backlog_is_what_could_be_claimed_now(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    runtime = start()
    assert not runtime.has_backlog()
    send(sessions, store, clinic_id, 1)
    assert runtime.has_backlog()
    with sessions.begin() as session:
        factories.take(session)
    assert not runtime.has_backlog()


# Releases


@pytest.fixture
def releases(settings: Settings, tmp_path: Path) -> Path:
    """A folder of releases that the test may spoil."""
    folder = tmp_path / "releases"
    shutil.copytree(settings.releases_dir / RELEASE, folder / RELEASE)
    return folder


def activate(sessions: sessionmaker[Session], folder: Path) -> int:
    """Make the release of this folder the active one."""
    with sessions.begin() as session:
        session.execute(update(Release).values(mode="idle"))
        sha256 = bytes.fromhex(manifest_sha256(folder))
        release = Release(name=folder.name, manifest={}, manifest_sha256=sha256, mode="active")
        session.add(release)
        session.flush()
        return release.id


def test_a_worker_does_not_start_with_an_altered_release(
    sessions: sessionmaker[Session], start: Callable[..., Runtime], releases: Path
) -> None:
    with (releases / RELEASE / MANIFEST_NAME).open("a") as manifest:
        manifest.write("\n")
    with pytest.raises(ReleaseInvalid):
        start(releases_dir=releases)
    with sessions() as session:
        assert session.scalars(select(Worker)).all() == []


def test_a_release_that_is_not_the_installed_one_scores_nothing_and_loses_nothing(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    releases: Path,
) -> None:
    images = send(sessions, store, clinic_id, 3)
    runtime = start(releases_dir=releases, outage_delay=LATER)
    build_tiny_release(releases / "next", seed=1)
    release_id = activate(sessions, releases / "next")
    manifest = releases / "next" / MANIFEST_NAME
    sound_manifest = manifest.read_bytes()
    manifest.write_bytes(sound_manifest + b"\n")
    assert score_pending(runtime, None) == 0
    assert_given_back(sessions, 3)

    manifest.write_bytes(sound_manifest)
    awake(sessions)
    assert score_pending(runtime, None) == 3
    assert scoring(sessions, images) == [Scoring.SCORED] * 3
    with sessions() as session:
        assert set(session.scalars(select(Assessment.release_id))) == {release_id}


def test_a_new_release_scores_from_the_next_claim_on(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    releases: Path,
) -> None:
    send(sessions, store, clinic_id, 1)
    runtime = start(releases_dir=releases)
    assert score_pending(runtime, None) == 1
    build_tiny_release(releases / "next", seed=1)
    activate(sessions, releases / "next")
    send(sessions, store, clinic_id, 1)
    assert score_pending(runtime, None) == 1
    with sessions() as session:
        rows = session.execute(
            select(Release.name, Assessment.p_severe).join(
                Assessment, Assessment.release_id == Release.id
            )
        ).all()
        assert {name for name, _ in rows} == {RELEASE, "next"}
        assert len({p_severe for _, p_severe in rows}) == 2  # the same photograph
        assert session.scalar(select(func.count()).select_from(Case)) == 2

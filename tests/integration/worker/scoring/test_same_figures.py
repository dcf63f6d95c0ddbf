"""The same figures for the same photograph: by worker, CLI and evaluation, now and later."""

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import torch
from PIL import ExifTags, Image
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE
from tests.doubles import EnsembleLoader
from tests.factories import photograph
from tests.uploads import send
from torch import Tensor

from dermtriage.core.enums import CLASSES
from dermtriage.core.settings import Settings
from dermtriage.models import Assessment
from dermtriage.releases.queries import active_release
from dermtriage.storage.image_store import ImageStore
from dermtriage_cli.offline_scoring.scoring import score_photographs
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.evaluation.scoring import score_labelled
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending


class NoTrainingSet:
    """A training set without photographs."""

    def fold_of(self, image_id: str) -> None:
        """No photograph was trained with."""


def test_worker_score_and_evaluation_agree(
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
    path.write_bytes(photograph(0))
    ensemble = Ensemble.load(settings.releases_dir / RELEASE, "cpu")
    (scored,) = score_photographs([path], ensemble, batch=4, inputs={"A": known})
    labelled = Labelled("A", path, "nv", "L1", inputs=known)
    (evaluated,) = score_labelled(
        ensemble,
        [labelled],
        training_folds=NoTrainingSet(),
        out_of_fold=False,
        on_progress=lambda _: None,
    )
    assert scored.prediction == evaluated
    assert stored.inputs == evaluated.inputs == known
    assert stored.p_severe == pytest.approx(evaluated.p_severe, abs=1e-6)
    assert stored.disagreement == pytest.approx(evaluated.disagreement, abs=1e-6)
    by_class = dict(zip(CLASSES, stored.probabilities, strict=True))
    assert by_class == pytest.approx(evaluated.probabilities, abs=1e-6)
    assert stored.quality == pytest.approx(evaluated.quality, abs=1e-6)


def test_the_stored_rendition_is_upright_and_holds_no_metadata_and_is_what_is_scored(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
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

    ensembles.predict = predict
    assert score_pending(runtime, image_id) == 1

    rendition = store.get_rendition(image_id)
    assert b"Maria" not in rendition
    shown = Image.open(io.BytesIO(rendition))
    assert shown.format == "JPEG"
    assert shown.size == (120, 160)
    assert not shown.getexif()
    assert set(shown.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    digest = hashlib.sha256(out.getvalue()).digest()
    assert store.get_original(image_id, digest) == out.getvalue()

    with sessions() as session:
        ensemble = runtime.active.ensemble_of(active_release(session))
        row = session.get_one(Assessment, (active_release(session).id, image_id))
    square = ensemble.prepare(ensemble.decode(rendition))
    assert torch.equal(square, seen[0])
    (again,) = ensemble.predict([square])
    assert again.p_severe == pytest.approx(row.p_severe, abs=1e-3)
    assert [again.probabilities[name] for name in CLASSES] == pytest.approx(
        row.probabilities, abs=1e-3
    )
    assert again.disagreement == pytest.approx(row.disagreement, abs=1e-3)

"""The upload loop over real servers: a backlog is scored once, in full batches."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.doubles import EnsembleLoader
from tests.uploads import invariants_hold, pending, scoring_states, send
from torch import Tensor

from dermtriage.core.enums import CLASSES, ImageType, Scoring
from dermtriage.models import Assessment
from dermtriage.releases.queries import active_policy
from dermtriage.scoring import assessments
from dermtriage.storage.image_store import ImageStore
from dermtriage.triage.image_severity import triage_image
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending


def test_a_backlog_is_scored_in_full_batches(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
) -> None:
    images = send(sessions, store, clinic_id, 10)
    sizes = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        sizes.append(len(batch))
        return real(batch)

    runtime = start(scoring_batch=4)
    ensembles.predict = predict
    assert score_pending(runtime, images[7]) == 10
    assert sizes == [4, 4, 2]
    assert scoring_states(sessions, images) == [Scoring.SCORED] * 10
    assert pending(sessions) == []
    assert (runtime.counts().batches, runtime.counts().completed) == (3, 10)
    assert runtime.counts().busy == 0
    with sessions() as session:
        _, policy = active_policy(session)
        for row in session.scalars(select(Assessment)):
            assert sum(row.probabilities) == pytest.approx(1, abs=1e-3)
            severe = sum(row.probabilities[CLASSES.index(name)] for name in ("akiec", "bcc", "mel"))
            assert row.p_severe == pytest.approx(severe, abs=1e-3)
            assert set(row.members) == {"tiny_a", "tiny_b"}
            assert row.device == "cpu"
            image = factories.image(session, row.image_id)
            severity = triage_image(assessments.finding(row), policy).severity
            assert (image.severity, image.case.severity) == (severity, severity)
            assert store.get_rendition(image.id)
    assert invariants_hold(sessions)
    assert score_pending(runtime, images[0]) == 0
    assert score_pending(runtime, None) == 0


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
    assert scoring_states(sessions, [overview, close_up]) == [Scoring.NOT_SCORED, Scoring.SCORED]
    assert invariants_hold(sessions)


def test_threads_of_two_processes_score_each_image_once(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    images = send(sessions, store, clinic_id, 12)
    runtimes = [start(scoring_batch=2), start(scoring_batch=2)] * 2
    done = factories.run_concurrently(
        [lambda r=runtime: score_pending(r, None) for runtime in runtimes]
    )
    assert sum(done) == 12
    assert scoring_states(sessions, images) == [Scoring.SCORED] * 12
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Assessment)) == 12
    assert invariants_hold(sessions)


def test_a_stopping_worker_leases_nothing_new(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    images = send(sessions, store, clinic_id, 1)
    runtime = start()
    runtime.stopping.set()
    assert score_pending(runtime, images[0]) == 0
    assert [row.attempts for row in pending(sessions)] == [0]


def test_a_backlog_is_what_can_be_leased_now(
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
        factories.lease_images(session)
    assert not runtime.has_backlog()

"""A worker scores the chunks of a run, uploads first, and leaves out what cannot be scored."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.doubles import EnsembleLoader, WatchedStore
from tests.factories import photograph
from tests.runs import (
    activate_and_plan,
    receive_and_score,
)
from torch import Tensor

from dermtriage.core.enums import RunState
from dermtriage.core.errors import NotFound
from dermtriage.core.settings import Settings
from dermtriage.messaging.tasks import RESCORE
from dermtriage.models import (
    Assessment,
    PolicyVersion,
    RescoreFailure,
)
from dermtriage.operations import invariants
from dermtriage.releases.queries import active_release, find_release
from dermtriage.rescoring import runs
from dermtriage.rescoring.reports.report import RunReport
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.celery_app import make_app as make_worker
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.upkeep.duties import Duties


def all_is_severe(sessions: sessionmaker[Session]) -> None:
    """Let every policy call whatever is scored severe."""
    with sessions.begin() as session:
        nothing_else = PolicyVersion.body.op("||")({"lower": 0.0, "upper": 0.0})
        session.execute(update(PolicyVersion).values(body=nothing_else))


def test_a_worker_scores_a_run(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
) -> None:
    runtime = start(scoring_batch=2)
    images = receive_and_score(sessions, store, clinic_id, runtime, 7)
    run_id = activate_and_plan(sessions, second)
    assert rescore(runtime) == 7
    assert rescore(runtime) == 0
    with sessions() as session:
        run = runs.find_run(session, run_id)
        assert run.state is RunState.FINISHED
        release = find_release(session, second)
        for image_id in images:
            assert factories.image(session, image_id).release_id == release.id
            assert session.get(Assessment, (release.id, image_id)) is not None
        assert invariants.check_invariants(session) == {}


def test_a_worker_ends_a_run_and_upkeep_writes_the_report(
    sessions: sessionmaker[Session],
    settings: Settings,
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
) -> None:
    runtime = start()
    receive_and_score(sessions, store, clinic_id, runtime, 2)
    run_id = activate_and_plan(sessions, second)
    make_worker(settings, runtime).tasks[RESCORE]()
    with sessions() as session:
        run = runs.find_run(session, run_id)
        assert (run.state, run.report) == (RunState.FINISHED, None)
    Duties(settings).end_runs()
    with sessions() as session:
        report = RunReport.model_validate(runs.find_run(session, run_id).report)
        assert report.scored == 2


class WatchedRuntime(Runtime):
    """A worker that notes who gets the device."""

    def device(self, ensemble: Ensemble, *, urgent: bool = False) -> AbstractContextManager[None]:
        """Note whether it is for uploads."""
        self.urgent = [*getattr(self, "urgent", []), urgent]
        return super().device(ensemble, urgent=urgent)


def test_uploads_go_first(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Any],
    second: str,
    ensembles: EnsembleLoader,
) -> None:
    runtime: WatchedRuntime = start(WatchedRuntime, scoring_batch=2)
    receive_and_score(sessions, store, clinic_id, runtime, 6)
    activate_and_plan(sessions, second, size=6)
    with sessions() as session:
        runtime.active.ensemble_of(find_release(session, second))
    runtime.urgent = []
    seen: list[tuple[int, int]] = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        if not runtime.urgent[-1]:
            with sessions.begin() as session:
                waiting = session.scalar(text("SELECT count(*) FROM pending_images"))
                seen.append((len(batch), int(waiting or 0)))
                # While this batch is on the device, a clinic sends another photograph.
                files = [photograph(100 + len(seen))]
                factories.receive(session, clinic_id, store=store, files=files)
        return real(batch)

    ensembles.predict = predict
    assert rescore(runtime) == 6
    assert seen == [(2, 0)] * 3
    # After each batch of the run the upload that came meanwhile, which waits for no other batch.
    assert runtime.urgent == [False, True] * 3


@pytest.mark.parametrize(("threads", "images"), [(1, 16), (2, 8), (3, 4), (16, 2)])
def test_threads_that_share_a_cpu_share_a_batch_of_whole_passes(
    start: Callable[..., Runtime], threads: int, images: int
) -> None:
    runtime = start(scoring_batch=16, scoring_threads=threads)
    with runtime.sessions() as session:
        ensemble = runtime.active.ensemble_of(active_release(session))
    assert runtime.bulk_batch_size(ensemble) == images


def test_a_run_makes_maps_of_what_rose_and_of_what_was_sent_meanwhile(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
) -> None:
    runtime = start()
    (rising,) = receive_and_score(sessions, store, clinic_id, runtime, 1)
    all_is_severe(sessions)
    (severe,) = receive_and_score(sessions, store, clinic_id, runtime, 1)
    activate_and_plan(sessions, second)
    all_is_severe(sessions)
    with sessions.begin() as session:
        files = [photograph(9)]
        receipt = factories.receive(session, clinic_id, store=store, files=files)
    (sent,) = receipt.pending_image_ids
    assert rescore(runtime) == 2
    for image_id in (rising, sent):
        assert store.get_heat_map(image_id, second)
    with pytest.raises(NotFound):
        store.get_heat_map(severe, second)


def test_an_image_that_cannot_be_scored_is_left_out_with_its_reason(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
    settings: Settings,
) -> None:
    runtime = start()
    images = receive_and_score(sessions, store, clinic_id, runtime, 3)
    folder = Path(settings.store_url.removeprefix("file://"))
    for path in folder.rglob(f"*{images[1]}*"):
        path.write_bytes(b"no photograph")
    with sessions() as session:
        before = factories.image(session, images[1]).severity
    run_id = activate_and_plan(sessions, second)
    assert rescore(runtime) == 2
    with sessions() as session:
        run = runs.find_run(session, run_id)
        assert run.state is RunState.FINISHED
        (failure,) = session.scalars(select(RescoreFailure))
        assert (failure.run_id, failure.image_id) == (run_id, images[1])
        assert factories.image(session, images[1]).severity is before


def test_an_image_that_kills_workers_is_found_and_its_neighbours_are_scored(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    second: str,
    watched: WatchedStore,
) -> None:
    runtime = start()
    images = receive_and_score(sessions, store, clinic_id, runtime, 3)
    run_id = activate_and_plan(sessions, second)

    class Death(BaseException):
        """The end of the process."""

    def kill(method: str, image_id: UUID) -> None:
        if (method, image_id) == ("get_rendition", images[1]):
            raise Death

    watched.before = kill
    # Among its neighbours, alone, and alone again: something else may have killed the second.
    for _ in range(3):
        with pytest.raises(Death):
            rescore(runtime)
        with sessions.begin() as session:
            session.execute(
                text("UPDATE rescore_chunks SET lease_expires_at = now() WHERE done_at IS NULL")
            )
    rescore(runtime)
    with sessions() as session:
        run = runs.find_run(session, run_id)
        assert run.state is RunState.FINISHED
        (failure,) = session.scalars(select(RescoreFailure))
        assert failure.image_id == images[1]
        assert "did not come back" in failure.reason
        release = find_release(session, second)
        done = session.scalars(
            select(Assessment.image_id).where(Assessment.release_id == release.id)
        )
        assert set(done) == {images[0], images[2]}

"""Images whose worker died are tried one at a time in their process, and delay others little."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.doubles import EnsembleLoader
from tests.pending_images import EXPIRED
from tests.uploads import invariants_hold, pending, scoring_states, send
from torch import Tensor

from dermtriage.core.enums import Scoring
from dermtriage.models import PendingImage
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.termination import release_everything
from dermtriage_worker.scoring.upload_loop import score_pending


def die_over(sessions: sessionmaker[Session], count: int) -> list[UUID]:
    """Leave images behind as a worker that died while it scored them together."""
    with sessions.begin() as session:
        leases = factories.lease_images(session, batch=count, lease_seconds=EXPIRED)
        return [lease.image_id for lease in leases]


def leased_rows(sessions: sessionmaker[Session]) -> list[tuple[UUID, bool]]:
    with sessions() as session:
        running = PendingImage.lease_expires_at > func.now()
        rows = session.execute(
            select(PendingImage.image_id, PendingImage.suspect).where(running)
        ).all()
        return [(image_id, suspect) for image_id, suspect in rows]


def test_a_suspect_is_scored_while_its_process_holds_no_other_lease(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
) -> None:
    images = send(sessions, store, clinic_id, 12)
    suspects = die_over(sessions, 4)
    runtime = start(scoring_threads=2, scoring_batch=2)
    seen: list[list[tuple[UUID, bool]]] = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        seen.append(leased_rows(sessions))
        return real(batch)

    ensembles.predict = predict
    done = factories.run_concurrently([lambda: score_pending(runtime, None)] * 2)
    assert sum(done) == 12
    assert scoring_states(sessions, images) == [Scoring.SCORED] * 12
    alone = [rows for rows in seen if any(suspect for _, suspect in rows)]
    assert sorted(alone) == sorted([[(image_id, True)] for image_id in suspects])
    assert invariants_hold(sessions)


def test_an_upload_waits_for_one_suspect_at_most(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
) -> None:
    send(sessions, store, clinic_id, 5, priority="stat")
    die_over(sessions, 5)
    runtime = start(scoring_threads=2)
    order: list[bool] = []
    sent: list[UUID] = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        ((_, suspect),) = leased_rows(sessions)
        order.append(suspect)
        if not sent:
            sent.extend(send(sessions, store, clinic_id, 1, priority="stat"))
        return real(batch)

    ensembles.predict = predict
    assert sum(factories.run_concurrently([lambda: score_pending(runtime, None)] * 2)) == 6
    assert order == [True, False, True, True, True, True]
    assert scoring_states(sessions, sent) == [Scoring.SCORED]


def test_a_process_that_ends_itself_leaves_its_leases_to_others_at_once(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
) -> None:
    send(sessions, store, clinic_id, 3)
    runtime = start()
    found: list[int] = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        release_everything(runtime, runtime.running.hung(0), reason="It hung.")
        found.extend(row.attempts for row in pending(sessions) if row.suspect)
        return real(batch)

    ensembles.predict = predict
    # What it still scores is dropped: its leases are gone.
    assert score_pending(runtime, None) == 0
    assert found == [0, 0, 0]
    assert [(row.lease_token, row.last_error) for row in pending(sessions)] == [
        (None, "It hung.")
    ] * 3
    ensembles.predict = None
    assert score_pending(start(), None) == 3

"""An image that cannot be scored fails alone, and its neighbours are scored."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import torch
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.doubles import EnsembleLoader
from tests.factories import photograph
from tests.uploads import (
    LONG_DELAY,
    damage,
    end_retry_delays,
    invariants_hold,
    pending,
    scoring_states,
    send,
)
from torch import Tensor

from dermtriage.core.enums import CLASSES, Scoring, Severity
from dermtriage.core.settings import Settings
from dermtriage.releases.queries import active_release
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.image.photograph import decode_original
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending


def square_of(runtime: Runtime, seed: int) -> Tensor:
    """Return what the active release gets of a photograph."""
    with runtime.sessions() as session:
        ensemble = runtime.active.ensemble_of(active_release(session))
    return decode_original(photograph(seed), ensemble).square


@pytest.mark.parametrize("content", [b"garbage", b"", photograph(1)[:900], None])
def test_a_file_that_cannot_be_read_fails_alone(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    content: bytes | None,
) -> None:
    images = send(sessions, store, clinic_id, 5)
    damage(settings, images[2], content)
    assert score_pending(start(scoring_batch=3, max_attempts=2), None) == 4
    expected = [Scoring.SCORED] * 5
    expected[2] = Scoring.FAILED
    assert scoring_states(sessions, images) == expected
    assert pending(sessions) == []
    with sessions() as session:
        failed = factories.image(session, images[2])
        assert failed.failure
        assert (failed.case.severity, failed.case.lane) == (Severity.UNSCORED, 1)
    assert invariants_hold(sessions)


def test_an_image_that_failed_once_rests_and_then_is_tried_again(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    start: Callable[..., Runtime],
) -> None:
    images = send(sessions, store, clinic_id, 3)
    damage(settings, images[0], b"garbage")
    runtime = start(outage_delay=LONG_DELAY)
    assert score_pending(runtime, None) == 2
    (row,) = pending(sessions)
    assert (row.image_id, row.attempts, row.lease_token) == (images[0], 1, None)
    assert row.last_error
    damage(settings, images[0], photograph(0))
    assert score_pending(runtime, images[0]) == 0
    end_retry_delays(sessions)
    assert score_pending(runtime, images[0]) == 1
    assert invariants_hold(sessions)


def test_a_photograph_that_breaks_the_ensemble_is_found_by_halving(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
) -> None:
    images = send(sessions, store, clinic_id, 8)
    runtime = start(scoring_batch=8, max_attempts=1)
    poison = square_of(runtime, 5)
    sizes = []

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        sizes.append(len(batch))
        if any(torch.equal(tensor, poison) for tensor in batch):
            raise ValueError("Maria Muster has no such mole")
        return real(batch)

    ensembles.predict = predict
    assert score_pending(runtime, None) == 7
    # Once it is alone, a black square is tried as well: the device is not to blame.
    assert sizes == [8, 4, 4, 2, 1, 1, 1, 2]
    expected = [Scoring.SCORED] * 8
    expected[5] = Scoring.FAILED
    assert scoring_states(sessions, images) == expected
    with sessions() as session:
        # The message of a third party's exception may quote what it read.
        assert factories.image(session, images[5]).failure == "ValueError"
    assert invariants_hold(sessions)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("p_severe", math.nan, "p_severe"),
        ("disagreement", math.nan, "disagreement"),
        ("out_of_scope", math.nan, "out_of_scope"),
        ("out_of_scope", -math.inf, "out_of_scope"),
        ("out_of_scope", 1.5, "out_of_scope"),
        ("probabilities", dict.fromkeys(CLASSES, math.nan), "probabilities.akiec"),
        ("members", {"tiny_a": [0.0, math.inf]}, "members.tiny_a"),
        ("quality", {"sharpness": math.inf}, "quality.sharpness"),
    ],
)
def test_a_figure_that_is_no_number_costs_its_own_image_an_attempt_and_no_other(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
    field: str,
    value: Any,
    named: str,
) -> None:
    images = send(sessions, store, clinic_id, 3)
    runtime = start(max_attempts=1)
    strange = square_of(runtime, 1)

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        return [
            replace(prediction, **{field: value}) if torch.equal(tensor, strange) else prediction
            for prediction, tensor in zip(real(batch), batch, strict=True)
        ]

    ensembles.predict = predict
    assert score_pending(runtime, None) == 2
    assert scoring_states(sessions, images) == [Scoring.SCORED, Scoring.FAILED, Scoring.SCORED]
    with sessions() as session:
        failure = factories.image(session, images[1]).failure
    assert failure == f"The ensemble's figure {named} is not a number in its range."
    assert invariants_hold(sessions)


def test_a_row_that_the_database_refuses_fails_alone(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Callable[..., Runtime],
    ensembles: EnsembleLoader,
) -> None:
    images = send(sessions, store, clinic_id, 4)
    runtime = start(max_attempts=1)

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        predictions = real(batch)
        if len(batch) == 4:
            # PostgreSQL stores no zero byte.
            predictions[2] = replace(predictions[2], inputs={"sex": "\0"})
        return predictions

    ensembles.predict = predict
    assert score_pending(runtime, None) == 3
    expected = [Scoring.SCORED] * 4
    expected[2] = Scoring.FAILED
    assert scoring_states(sessions, images) == expected
    assert invariants_hold(sessions)

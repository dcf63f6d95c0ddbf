"""A chunk that fails is tried again, ends its run at last, and harms no other image."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker
from tests.database_faults import RECORD, before_statement
from tests.doubles import EnsembleLoader
from tests.integration.worker.scoring.interrupted_runs.started_run import (
    StartedRun,
    failure_reasons,
    raise_at_call,
    run_state,
    scored_by,
)
from tests.runs import activate_and_plan, plan_run, receive_and_score
from torch import Tensor

from dermtriage.core.enums import RunState
from dermtriage.rescoring import runs
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.runtime import Runtime

Start = Callable[..., Runtime]


def test_a_chunk_that_fails_in_every_attempt_ends_its_run(
    started: StartedRun, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("a mistake of ours")

    before_statement(started.runtime, RECORD, fail)
    assert rescore(started.runtime) == 0
    assert [one.message for one in caplog.records].count("chunk failed") == 3
    with started.sessions() as session:
        run = runs.find_run(session, started.run_id)
        assert run.state is RunState.FAILED
        assert "Chunk 0 failed in attempt 3: KeyError." in str(run.reason)
    assert failure_reasons(started.sessions) == {}


def test_a_chunk_that_fails_once_is_tried_again(started: StartedRun) -> None:
    before_statement(started.runtime, RECORD, raise_at_call(0, KeyError("a mistake of ours")))
    assert rescore(started.runtime) == 3
    started.assert_complete()


def test_a_row_that_the_database_refuses_keeps_no_other_image_from_triage(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    start: Start,
    second: str,
    ensembles: EnsembleLoader,
) -> None:
    runtime = start(rescore_chunk=2)
    images = receive_and_score(sessions, store, clinic_id, runtime, 2)
    with sessions.begin() as session:
        run = plan_run(session, name=second)
        session.execute(
            text("UPDATE rescore_chunks SET last_image_id = first_image_id, images = 1")
        )
        assert run.images == 2
    assert rescore(runtime) == 1
    known, new = sorted(images)
    run_id = activate_and_plan(sessions, second)

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        # PostgreSQL stores no zero byte.
        return [replace(one, inputs={"sex": "\0"}) for one in real(batch)]

    # Only the new one goes to the device.
    ensembles.predict = predict
    assert rescore(runtime) == 1
    assert run_state(sessions, run_id) is RunState.FINISHED
    assert list(failure_reasons(sessions)) == [new]
    assert scored_by(sessions, second) == {known}

"""A rescore run that has just started, and what can interrupt it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.enums import RunState
from dermtriage.models import Assessment, RescoreFailure
from dermtriage.releases.queries import find_release
from dermtriage.rescoring import runs
from dermtriage_worker.scoring.runtime import Runtime


class Crash(BaseException):
    """Ends the process: no worker catches it."""


def record_crashed_attempt(sessions: sessionmaker[Session]) -> None:
    """Count an attempt at each chunk, as a worker that crashed would have left it."""
    with sessions.begin() as session:
        session.execute(text("UPDATE rescore_chunks SET attempts = attempts + 1"))


def expire_chunk_leases(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        session.execute(
            text("UPDATE rescore_chunks SET lease_expires_at = now() WHERE done_at IS NULL")
        )


def end_chunk_delays(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        session.execute(text("UPDATE rescore_chunks SET not_before = NULL"))


def failure_reasons(sessions: sessionmaker[Session]) -> dict[UUID, str]:
    with sessions() as session:
        rows = session.execute(select(RescoreFailure.image_id, RescoreFailure.reason))
        return dict(iter(rows))


def scored_by(sessions: sessionmaker[Session], name: str) -> set[UUID]:
    with sessions() as session:
        release = find_release(session, name)
        return set(
            session.scalars(select(Assessment.image_id).where(Assessment.release_id == release.id))
        )


def run_state(sessions: sessionmaker[Session], run_id: UUID) -> RunState:
    with sessions() as session:
        return runs.find_run(session, run_id).state


def raise_at_call(number: int, error: BaseException) -> Callable[..., None]:
    """Return a function that raises at its call of this number, counted from 0."""
    calls = iter(range(1000))

    def run(*_: Any) -> None:
        if next(calls) == number:
            raise error

    return run


@dataclass(frozen=True)
class StartedRun:
    """A run of a second release over three photographs, of which its worker has scored none."""

    sessions: sessionmaker[Session]
    runtime: Runtime
    release: str
    images: list[UUID]
    run_id: UUID

    def load_release(self) -> None:
        """Load the release before the run, since loading predicts once, which tests would count."""
        with self.sessions() as session:
            self.runtime.active.ensemble_of(find_release(session, self.release))

    def assert_complete(self) -> None:
        """Assert that the run has finished and scored every image."""
        assert run_state(self.sessions, self.run_id) is RunState.FINISHED
        assert failure_reasons(self.sessions) == {}
        assert scored_by(self.sessions, self.release) == set(self.images)

"""The end of a rescore run, and the report that is kept of it."""

import logging
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import Integer, cast, func, select
from sqlalchemy.orm import Session, aliased

from dermtriage import runs
from dermtriage.models import (
    Assessment,
    Release,
    ReleaseActivation,
    RescoreChunk,
    RescoreFailure,
    RescoreRun,
    TriageEvent,
)
from dermtriage.states import GOING, RunState

logger = logging.getLogger(__name__)

BINS = 20
"""Of the histogram of how far scores moved, from -1 to 1."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Transition(_Part):
    """Open cases that a run moved from one severity to another."""

    before: str
    after: str
    cases: int


class Drift(_Part):
    """How far the scores moved from the release that had triaged each image before.

    Attributes
    ----------
    photographs
        That had an assessment by another release before.
    mean, mean_absolute
        Of the change of p_severe, -1..1 and 0..1.
    histogram
        Photographs by change, in `BINS` equal bins from -1 to 1.
    """

    photographs: int
    mean: float | None
    mean_absolute: float | None
    histogram: list[int]


class Failure(_Part):
    """Why images could not be scored, and how many."""

    reason: str
    images: int


class RunReport(_Part):
    """What a run did. Times are aware, durations in seconds."""

    release: str
    triaged: bool
    """Whether its release was the active one at the end; else it only compared."""
    state: RunState
    images: int
    scored: int
    failed: int
    upgrades: int
    recalls: int
    started_at: AwareDatetime | None
    ended_at: AwareDatetime
    seconds: float
    images_per_second: float | None
    transitions: list[Transition]
    failures: list[Failure]
    drift: Drift


def finish_done(session: Session, *, now: datetime) -> list[UUID]:
    """End the runs of which no chunk is left, and write their reports."""
    going = session.scalars(
        select(RescoreRun)
        .where(
            RescoreRun.state.in_(GOING),
            ~select(RescoreChunk.number)
            .where(RescoreChunk.run_id == RescoreRun.id, RescoreChunk.done_at.is_(None))
            .exists(),
        )
        .with_for_update(skip_locked=True)
    ).all()
    for run in going:
        _end(session, run, RunState.FINISHED, None, now)
    return [run.id for run in going]


def cancel(session: Session, run_id: UUID, *, reason: str, now: datetime) -> RescoreRun:
    """End a run early; what it has done stays.

    Raises
    ------
    NotFound
        If there is no such run.
    Conflict
        If it has ended.
    """
    run = runs.find_run(session, run_id, lock=True)
    runs.require_state(run, (*GOING, RunState.PAUSED))
    return _end(session, run, RunState.CANCELLED, reason, now)


def fail(session: Session, run_id: UUID, *, reason: str, now: datetime) -> RescoreRun | None:
    """End a run that cannot go on; None if it has ended already."""
    run = runs.find_run(session, run_id, lock=True)
    if run.ended_at is not None:
        return None
    return _end(session, run, RunState.FAILED, reason, now)


def _end(
    session: Session, run: RescoreRun, state: RunState, reason: str | None, now: datetime
) -> RescoreRun:
    report = _report(session, run, state, now)
    run.state, run.reason, run.ended_at = state, reason, now
    run.report = report.model_dump(mode="json")
    logger.info(
        "run ended",
        extra={"run_id": run.id, "state": state.value, "images": report.scored},
    )
    return run


def _report(session: Session, run: RescoreRun, state: RunState, now: datetime) -> RunReport:
    release = session.get_one(Release, run.release_id)
    progress = runs.progress(session, run)
    seconds = (now - run.started_at).total_seconds() if run.started_at else 0.0
    return RunReport(
        release=release.name,
        triaged=release.mode == "active",
        state=state,
        images=run.images,
        scored=progress.scored,
        failed=progress.failed,
        upgrades=progress.upgrades,
        recalls=progress.recalls,
        started_at=run.started_at,
        ended_at=now,
        seconds=seconds,
        images_per_second=progress.scored / seconds if seconds > 0 else None,
        transitions=_transitions(session, run, ("upgraded", "recalled")),
        failures=[
            Failure(reason=reason, images=count)
            for reason, count in session.execute(
                select(RescoreFailure.reason, func.count())
                .where(RescoreFailure.run_id == run.id)
                .group_by(RescoreFailure.reason)
                .order_by(func.count().desc(), RescoreFailure.reason)
            )
        ],
        drift=_drift(session, run),
    )


def _transitions(session: Session, run: RescoreRun, kinds: Collection[str]) -> list[Transition]:
    rows = session.execute(
        select(TriageEvent.from_severity, TriageEvent.to_severity, func.count())
        .where(TriageEvent.run_id == run.id, TriageEvent.kind.in_(kinds))
        .group_by(TriageEvent.from_severity, TriageEvent.to_severity)
        .order_by(TriageEvent.from_severity, TriageEvent.to_severity)
    )
    return [
        Transition(before=before.value, after=after.value, cases=count)
        for before, after, count in rows
        if before is not None
    ]


def _drift(session: Session, run: RescoreRun) -> Drift:
    """Compare what the run's release said during the run with the release it follows on."""
    earlier = _release_before(session, run)
    nothing = Drift(photographs=0, mean=None, mean_absolute=None, histogram=[0] * BINS)
    if earlier is None or run.started_at is None:
        return nothing
    new, old = aliased(Assessment), aliased(Assessment)
    moved = new.p_severe - old.p_severe
    position = func.least(cast(func.floor((moved + 1) / 2 * BINS), Integer), BINS - 1)
    rows = session.execute(
        select(position, func.count(), func.sum(moved), func.sum(func.abs(moved)))
        .join(old, old.image_id == new.image_id)
        .where(
            new.release_id == run.release_id,
            new.created_at >= run.started_at,
            old.release_id == earlier,
        )
        .group_by(position)
    ).all()
    total = sum(count for _, count, _, _ in rows)
    if not total:
        return nothing
    histogram = [0] * BINS
    for index, count, _, _ in rows:
        histogram[index] = count
    return Drift(
        photographs=total,
        mean=sum(change for _, _, change, _ in rows) / total,
        mean_absolute=sum(size for _, _, _, size in rows) / total,
        histogram=histogram,
    )


def _release_before(session: Session, run: RescoreRun) -> int | None:
    """Return the release that the run's replaced; for one that only compares, the active one."""
    active = session.scalar(select(Release.id).where(Release.mode == "active"))
    if active != run.release_id:
        return active
    return session.scalar(
        select(ReleaseActivation.previous_release_id)
        .where(ReleaseActivation.release_id == run.release_id)
        .order_by(ReleaseActivation.id.desc())
        .limit(1)
    )

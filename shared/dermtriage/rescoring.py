"""Rescore runs: plan them, and write what was scored."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Text, cast, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.orm import Session

from dermtriage import assessments, chunks, runs
from dermtriage.assessments import Result
from dermtriage.chunks import Chunk, Work
from dermtriage.db import new_id
from dermtriage.errors import Conflict
from dermtriage.models import (
    Case,
    Image,
    Release,
    ReleaseActivation,
    RescoreChunk,
    RescoreRun,
)
from dermtriage.releases import active_release
from dermtriage.scopes import OPEN, Scope, unscored_by, within
from dermtriage.settings import Settings
from dermtriage.states import RunState

logger = logging.getLogger(__name__)

BEAT = "beat"
"""Who plans the runs of the nights."""

NOON = 12
"""The hour at which one night ends and the next may begin."""

FEW_RECALLS = 10
"""So many never stop a run: of a small one they would be a large share."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What came of one batch of a run.

    Attributes
    ----------
    images
        That were written.
    upgraded, recalled
        The images of the cases that this happened to, a list a case.
    """

    images: int = 0
    upgraded: Sequence[Sequence[UUID]] = ()
    recalled: Sequence[Sequence[UUID]] = ()

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(
            self.images + other.images,
            (*self.upgraded, *other.upgraded),
            (*self.recalled, *other.recalled),
        )

    @property
    def risen(self) -> list[UUID]:
        """The images of all cases that are now more urgent."""
        return [image_id for case in (*self.upgraded, *self.recalled) for image_id in case]


def count_images(session: Session, *, release_id: int, scope: Scope) -> int:
    """Return how many images a run would have work with."""
    return (
        session.scalar(
            select(func.count())
            .select_from(Image)
            .join(Case, Case.id == Image.case_id)
            .where(unscored_by(release_id), within(scope))
        )
        or 0
    )


def plan_run(
    session: Session,
    *,
    release: Release,
    scope: Scope,
    actor: str,
    chunk_images: int,
    night: date | None = None,
) -> RescoreRun:
    """Plan a run: count its images, and cut them into chunks.

    Parameters
    ----------
    release
        To score with. Only the active one triages; what another says is kept for comparison.
    actor
        Who asked for it, in words.
    chunk_images
        Images a chunk.
    night
        The local date of the morning of the night whose run this is.

    Raises
    ------
    Conflict
        If the run of that night has been planned already, or the recalls of a run of the same
        release await confirmation.
    """
    runs.require_confirmed(session, release.id)
    run_id = new_id()
    planned = session.execute(
        insert_or(RescoreRun)
        .values(
            id=run_id,
            release_id=release.id,
            state=RunState.PLANNED,
            scope=scope.model_dump(mode="json", exclude_none=True),
            night=night,
            actor=actor,
            images=0,
            recalls=0,
        )
        .on_conflict_do_nothing(index_elements=["night"])
        .returning(RescoreRun.id)
    ).first()
    if planned is None:
        raise Conflict(
            "The run of this night has been planned already.",
            remedy="See `dermtriage rescore list`.",
            code="night_planned",
        )
    position = func.row_number().over(order_by=Image.id) - 1
    numbered = (
        select(Image.id.label("id"), (position // chunk_images).label("number"))
        .join(Case, Case.id == Image.case_id)
        .where(unscored_by(release.id), within(scope))
        .subquery()
    )
    # PostgreSQL orders UUIDs as it orders their text, and only later versions have min(uuid).
    as_text = cast(numbered.c.id, Text)
    bounds = select(
        literal(run_id).label("run_id"),
        numbered.c.number,
        cast(func.min(as_text), Image.id.type),
        cast(func.max(as_text), Image.id.type),
        func.count(),
    ).group_by(numbered.c.number)
    session.execute(
        insert(RescoreChunk).from_select(
            ["run_id", "number", "first_image_id", "last_image_id", "images"], bounds
        )
    )
    total = select(func.coalesce(func.sum(RescoreChunk.images), 0)).where(
        RescoreChunk.run_id == run_id
    )
    session.execute(
        update(RescoreRun).where(RescoreRun.id == run_id).values(images=total.scalar_subquery())
    )
    run = runs.find_run(session, run_id)
    logger.info("run planned", extra={"run_id": run_id, "images": run.images})
    return run


def plan_night(session: Session, settings: Settings, *, now: datetime) -> RescoreRun | None:
    """Plan the run of the last night that has begun, unless it is planned.

    A night that was missed is made up this way: whoever looks next plans it.
    """
    if settings.rescore_at == "":
        return None
    night, began = last_night(settings.rescore_at, settings.timezone, now)
    known = session.scalar(select(RescoreRun.id).where(RescoreRun.night == night))
    installed = session.scalar(select(func.min(ReleaseActivation.created_at)))
    # A database that is younger than the night has missed nothing.
    if known is not None or installed is None or installed > began:
        return None
    try:
        return plan_run(
            session,
            release=active_release(session),
            scope=OPEN,
            actor=BEAT,
            chunk_images=settings.rescore_chunk,
            night=night,
        )
    except Conflict:
        # Another beat looked at the same moment, and was first; or recalls await confirmation,
        # and the night is made up after it.
        return None


def last_night(at: str, timezone: str, now: datetime) -> tuple[date, datetime]:
    """Return the date and the beginning of the last night that has begun.

    A night goes from noon to noon and has the date of its morning: one that begins at 22:00 and
    one that begins at 01:00 are the same, so that its hour can be changed on any day.

    Parameters
    ----------
    at
        Local time at which a night begins, HH:MM.
    """
    hour, minute = (int(part) for part in at.split(":"))
    zone = ZoneInfo(timezone)
    day = now.astimezone(zone).date()
    # Moments are compared rather than what clocks show: an hour may come twice, or never.
    began = datetime.combine(day, time(hour, minute), tzinfo=zone).astimezone(UTC)
    if began > now:
        day -= timedelta(days=1)
        began = datetime.combine(day, time(hour, minute), tzinfo=zone).astimezone(UTC)
    return day + timedelta(days=1 if hour >= NOON else 0), began


def record(
    session: Session,
    chunk: Chunk,
    results: Sequence[Result],
    assessed: Sequence[Work],
    *,
    device: str,
    now: datetime,
    recall_share: float,
) -> Changes:
    """Write what a run's release said of some images, and triage their cases by it.

    A chunk whose lease has been lost is left to whoever holds it now. A run that has ended writes
    nothing more, and one whose recalls await confirmation does its images after that. What is on
    its way when someone pauses a run is written.

    Parameters
    ----------
    results
        Of the images that had to be scored.
    assessed
        Images whose assessment was there already.
    recall_share
        The run pauses once more than this share of its images has recalled a case.

    Returns
    -------
    Changes
        What came of it.
    """
    leases = [*(result.lease for result in results), *(work.lease for work in assessed)]
    if not leases:
        return Changes()
    cases = assessments.lock_cases(session, {lease.case_id for lease in leases})
    image_ids = [lease.image_id for lease in leases]
    run = chunks.hold(session, chunk)
    if run is not None:
        # Whatever becomes of their scores, they have come back from the device.
        chunks.take_up(session, chunk, image_ids)
    if run is None or runs.awaits_confirmation(run):
        logger.warning("not written", extra={"run_id": chunk.run_id, "images": len(leases)})
        return Changes()
    assessments.record_shadow(session, results, release_id=chunk.release_id, device=device)
    moved: list[assessments.Moved] = []
    if active_release(session).id == chunk.release_id:
        moved = assessments.triage_stored(
            session, cases, image_ids, release_id=chunk.release_id, now=now, run_id=chunk.run_id
        )
    # What was unscored and has become severe has risen as well.
    upgraded = [one.image_ids for one in moved if one.kind in {"upgraded", "scored"}]
    recalled = [one.image_ids for one in moved if one.kind == "recalled"]
    session.execute(
        update(RescoreChunk)
        .where(RescoreChunk.run_id == chunk.run_id, RescoreChunk.number == chunk.number)
        .values(
            scored=RescoreChunk.scored + len(image_ids),
            upgrades=RescoreChunk.upgrades + len(upgraded),
            recalls=RescoreChunk.recalls + len(recalled),
        )
    )
    if recalled:
        _count_recalls(session, chunk, len(recalled), recall_share)
    return Changes(len(image_ids), upgraded, recalled)


def _count_recalls(session: Session, chunk: Chunk, recalls: int, share: float) -> None:
    run = session.scalars(
        update(RescoreRun)
        .where(RescoreRun.id == chunk.run_id)
        .values(recalls=RescoreRun.recalls + recalls)
        .returning(RescoreRun)
        .execution_options(populate_existing=True)
    ).one()
    many = run.recalls > max(FEW_RECALLS, share * run.images)
    if many and run.recalls_confirmed is None and run.state is RunState.RUNNING:
        run.state, run.recalls_confirmed = RunState.PAUSED, False
        run.reason = (
            f"{run.recalls} of at most {run.images} images have recalled a case:"
            " someone has to confirm that this is right."
        )
        logger.warning("run paused", extra={"run_id": run.id, "recalls": run.recalls})

"""Plan rescore runs: count the images in scope, and cut them into chunks."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Text, cast, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.orm import Session

from dermtriage.core.enums import RunState
from dermtriage.core.errors import Conflict
from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings
from dermtriage.models import Case, Image, Release, ReleaseActivation, RescoreChunk, RescoreRun
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import runs
from dermtriage.rescoring.recording import logger
from dermtriage.rescoring.scope import OPEN, Scope, unscored_by, within

BEAT = "beat"
"""Who plans the runs of the nights."""


NOON = 12
"""The hour at which one night ends and the next may begin."""


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

"""Plan rescore runs: count the images in scope, and divide them into chunks."""

import logging
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Text, cast, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.orm import Session

from dermtriage.core.enums import RunState
from dermtriage.core.errors import Conflict
from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings
from dermtriage.models import Case, Image, Release, ReleaseActivation, RescoreChunk, RescoreRun
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import confirmation, runs
from dermtriage.rescoring.nights import last_night
from dermtriage.rescoring.scope import OPEN, Scope, in_scope, needs_rescoring

logger = logging.getLogger(__name__)

UPKEEP = "upkeep"
"""The actor of nightly runs."""


def count_images(session: Session, *, release_id: int, scope: Scope) -> int:
    """Return the number of images that a run would score or triage."""
    return (
        session.scalar(
            select(func.count())
            .select_from(Image)
            .join(Case, Case.id == Image.case_id)
            .where(needs_rescoring(release_id), in_scope(scope))
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
    """Plan a run: count its images, and divide them into chunks.

    Parameters
    ----------
    release
        The release to score with. Only the active one triages; assessments of another one are
        stored for comparison.
    actor
        Name of the person or service that plans it.
    chunk_images
        Images per chunk.
    night
        The local date of the morning, if it is the run of a night.

    Raises
    ------
    Conflict
        If the run of that night exists already, or the recalls of a run of the same release
        await confirmation.
    """
    confirmation.require_confirmed(session, release.id)
    run_id = new_id()
    planned = session.execute(
        postgresql_insert(RescoreRun)
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
    _insert_chunks(session, run_id, release.id, scope, chunk_images)
    images = select(func.coalesce(func.sum(RescoreChunk.images), 0)).where(
        RescoreChunk.run_id == run_id
    )
    session.execute(
        update(RescoreRun).where(RescoreRun.id == run_id).values(images=images.scalar_subquery())
    )
    run = runs.find_run(session, run_id)
    logger.info("run planned", extra={"run_id": run_id, "images": run.images})
    return run


def plan_night(session: Session, settings: Settings, *, now: datetime) -> RescoreRun | None:
    """Plan the run of the last night that has begun.

    A night that upkeep missed is made up for this way at its next call.

    Returns
    -------
    RescoreRun or None
        None if nightly runs are switched off, the night has its run already, the database was
        installed after the night began, or recalls await confirmation.
    """
    if settings.rescore_at == "":
        return None
    night, began = last_night(settings.rescore_at, settings.timezone, now)
    planned = session.scalar(select(RescoreRun.id).where(RescoreRun.night == night))
    installed = session.scalar(select(func.min(ReleaseActivation.created_at)))
    if planned is not None or installed is None or installed > began:
        return None
    try:
        return plan_run(
            session,
            release=active_release(session),
            scope=OPEN,
            actor=UPKEEP,
            chunk_images=settings.rescore_chunk,
            night=night,
        )
    except Conflict:
        # Another upkeep process planned it at the same moment; or recalls await confirmation, and
        # the night is planned after it.
        return None


def _insert_chunks(
    session: Session, run_id: UUID, release_id: int, scope: Scope, chunk_images: int
) -> None:
    """Insert the chunks of a run: its images in the order of their ids, `chunk_images` each."""
    position = func.row_number().over(order_by=Image.id) - 1
    numbered = (
        select(Image.id.label("id"), (position // chunk_images).label("number"))
        .join(Case, Case.id == Image.case_id)
        .where(needs_rescoring(release_id), in_scope(scope))
        .subquery()
    )
    # PostgreSQL orders UUIDs as it orders their text; before version 18 it has no min(uuid).
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

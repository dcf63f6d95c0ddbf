"""The images of a chunk that are still to be scored.

They are read from the images and their assessments, not kept as a list: a worker that takes over
the chunk of a dead one repeats nothing and leaves nothing out.
"""

from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from dermtriage.core.enums import ACTIVE
from dermtriage.models import Assessment, Case, Image, RescoreChunk, RescoreFailure, RescoreRun
from dermtriage.rescoring.chunk_leases import Chunk
from dermtriage.rescoring.failures import SUSPECTED
from dermtriage.rescoring.scope import in_scope, needs_rescoring
from dermtriage.scoring.leases import METADATA_COLUMNS, Lease, metadata_inputs


@dataclass(frozen=True, slots=True)
class RemainingImage:
    """An image that a run has not scored yet."""

    lease: Lease
    assessed: bool
    """Whether the release's assessment exists already, so that only triage remains."""


def remaining_images(session: Session, chunk: Chunk, limit: int) -> list[RemainingImage] | None:
    """Return the next images of a leased chunk, at most `limit`, in the order of their ids.

    Returns
    -------
    list of RemainingImage, or None
        Empty if the chunk is done; None if the run is not active or the lease is lost.
    """
    run_state = session.scalar(
        select(RescoreRun.state)
        .join(RescoreChunk, RescoreChunk.run_id == RescoreRun.id)
        .where(RescoreRun.id == chunk.run_id, RescoreChunk.lease_token == chunk.token)
    )
    if run_state not in ACTIVE:
        return None
    assessed = exists().where(
        Assessment.release_id == chunk.release_id, Assessment.image_id == Image.id
    )
    excluded = exists().where(
        RescoreFailure.run_id == chunk.run_id,
        RescoreFailure.image_id == Image.id,
        RescoreFailure.reason != SUSPECTED,
    )
    rows = session.execute(
        select(Image.id, Image.case_id, assessed, *METADATA_COLUMNS)
        .join(Case, Case.id == Image.case_id)
        .where(
            Image.id.between(chunk.first_image_id, chunk.last_image_id),
            needs_rescoring(chunk.release_id),
            in_scope(chunk.scope),
            ~excluded,
        )
        .order_by(Image.id)
        .limit(limit)
    ).all()
    return [
        RemainingImage(
            Lease(image_id, case_id, chunk.token, chunk.attempts, metadata_inputs(inputs)), known
        )
        for image_id, case_id, known, *inputs in rows
    ]

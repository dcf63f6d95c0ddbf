"""Images that a rescore run leaves out, and those suspected of having killed their worker.

After a worker's death its chunk is scored one image at a time, and each image is marked as
suspected before it goes to the device. A worker that survives clears the mark. An image that is
marked twice is left out; once is not enough, since a worker may die of something else.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from dermtriage.models import RescoreFailure
from dermtriage.rescoring import chunk_leases
from dermtriage.rescoring.chunk_leases import Chunk
from dermtriage.scoring.leases import MAX_ERROR

SUSPECTED = "The worker did not come back from scoring it; it is to be tried once more."
KILLED_TWICE = "The worker did not come back from scoring it, twice."


def exclude_image(session: Session, chunk: Chunk, image_id: UUID, *, reason: str) -> None:
    """Leave an image out of the run; its earlier severity is kept.

    Nothing is written if the run has ended or the lease is lost.
    """
    if chunk_leases.lock(session, chunk) is not None:
        _record(session, chunk, image_id, reason[:MAX_ERROR], if_recorded=reason[:MAX_ERROR])


def mark_suspect(session: Session, chunk: Chunk, image_id: UUID) -> bool:
    """Record that an image goes to the device alone, for the case that its worker dies.

    Returns
    -------
    bool
        False if the run has ended or the lease is lost, so that it must not be tried.
    """
    if chunk_leases.lock(session, chunk) is None:
        return False
    _record(session, chunk, image_id, SUSPECTED, if_recorded=KILLED_TWICE)
    return True


def clear_suspects(session: Session, chunk: Chunk, image_ids: Collection[UUID]) -> None:
    """Remove the marks of images that their worker survived; the caller holds the chunk's lock."""
    session.execute(
        delete(RescoreFailure).where(
            RescoreFailure.run_id == chunk.run_id,
            RescoreFailure.image_id.in_(image_ids),
            RescoreFailure.reason.in_((SUSPECTED, KILLED_TWICE)),
        )
    )


def _record(
    session: Session, chunk: Chunk, image_id: UUID, reason: str, *, if_recorded: str
) -> None:
    """Record a failure; an image that has one already gets the reason `if_recorded`."""
    session.execute(
        insert(RescoreFailure)
        .values(run_id=chunk.run_id, image_id=image_id, reason=reason)
        .on_conflict_do_update(index_elements=["run_id", "image_id"], set_={"reason": if_recorded})
    )

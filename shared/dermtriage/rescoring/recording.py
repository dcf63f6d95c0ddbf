"""Record a rescored batch: store its assessments, and triage the cases by them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from dermtriage.cases.transitions import lock_cases
from dermtriage.models import RescoreChunk
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import chunk_leases, confirmation, failures
from dermtriage.rescoring.chunk_leases import Chunk
from dermtriage.rescoring.remaining_images import RemainingImage
from dermtriage.scoring.heat_maps import queue_heat_maps
from dermtriage.scoring.recording import (
    CaseChange,
    ScoredImage,
    insert_assessments,
    triage_from_assessments,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordedBatch:
    """What recording one batch of a run changed.

    Attributes
    ----------
    images
        Number of images written.
    upgraded, recalled
        For each case that was upgraded or recalled, the ids of its rescored images.
    """

    images: int = 0
    upgraded: Sequence[Sequence[UUID]] = ()
    recalled: Sequence[Sequence[UUID]] = ()

    def __add__(self, other: "RecordedBatch") -> "RecordedBatch":
        return RecordedBatch(
            self.images + other.images,
            (*self.upgraded, *other.upgraded),
            (*self.recalled, *other.recalled),
        )

    @property
    def raised_image_ids(self) -> list[UUID]:
        """The images of all cases that are now more urgent."""
        return [image_id for case in (*self.upgraded, *self.recalled) for image_id in case]


def record(
    session: Session,
    chunk: Chunk,
    results: Sequence[ScoredImage],
    assessed: Sequence[RemainingImage],
    *,
    device: str,
    now: datetime,
    recall_share: float,
) -> RecordedBatch:
    """Store the assessments of some images of a chunk, and triage their cases by them.

    Nothing is written if the lease on the chunk is lost, the run has ended, or its recalls await
    confirmation; in the last case the images remain to be done. A run that an operator paused
    still writes the batches that were being scored.

    Parameters
    ----------
    results
        Predictions for the images that had to be scored.
    assessed
        Images whose assessment by the run's release exists already.
    device
        Name of the device that scored them.
    recall_share
        The run is paused once more than this share of its images, 0..1, has recalled a case.
    """
    leases = [*(result.lease for result in results), *(image.lease for image in assessed)]
    if not leases:
        return RecordedBatch()
    cases = lock_cases(session, {lease.case_id for lease in leases})
    image_ids = [lease.image_id for lease in leases]
    run = chunk_leases.lock(session, chunk)
    if run is not None:
        # Whether or not their scores are written, the worker has survived them.
        failures.clear_suspects(session, chunk, image_ids)
    if run is None or confirmation.awaits_confirmation(run):
        logger.warning("results dropped", extra={"run_id": chunk.run_id, "images": len(leases)})
        return RecordedBatch()
    insert_assessments(session, results, release_id=chunk.release_id, device=device)
    changes: list[CaseChange] = []
    if active_release(session).id == chunk.release_id:
        changes = triage_from_assessments(
            session, cases, image_ids, release_id=chunk.release_id, now=now, run_id=chunk.run_id
        )
    # A case that was unscored and has become severe counts as upgraded as well.
    upgraded = [one.image_ids for one in changes if one.kind in {"upgraded", "scored"}]
    recalled = [one.image_ids for one in changes if one.kind == "recalled"]
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
        confirmation.count_recalls(session, chunk.run_id, len(recalled), share=recall_share)
    recorded = RecordedBatch(len(image_ids), upgraded, recalled)
    # The other severe images have maps already, of an earlier release.
    queue_heat_maps(session, cases, recorded.raised_image_ids, release_id=chunk.release_id)
    return recorded

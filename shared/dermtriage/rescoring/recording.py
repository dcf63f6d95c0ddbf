"""Record what a run's release said, triage by it, and watch the share of recalls."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from dermtriage.cases.transitions import lock_cases
from dermtriage.core.enums import RunState
from dermtriage.models import RescoreChunk, RescoreRun
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import chunks, runs
from dermtriage.rescoring.chunks import Chunk, Work
from dermtriage.scoring.recording import (
    CaseChange,
    ScoredImage,
    insert_assessments,
    triage_from_assessments,
)

logger = logging.getLogger(__name__)


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


def record(
    session: Session,
    chunk: Chunk,
    results: Sequence[ScoredImage],
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
    cases = lock_cases(session, {lease.case_id for lease in leases})
    image_ids = [lease.image_id for lease in leases]
    run = chunks.lock_held(session, chunk)
    if run is not None:
        # Whatever becomes of their scores, they have come back from the device.
        chunks.clear_suspects(session, chunk, image_ids)
    if run is None or runs.awaits_confirmation(run):
        logger.warning("not written", extra={"run_id": chunk.run_id, "images": len(leases)})
        return Changes()
    insert_assessments(session, results, release_id=chunk.release_id, device=device)
    moved: list[CaseChange] = []
    if active_release(session).id == chunk.release_id:
        moved = triage_from_assessments(
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

"""Write what a release predicted for images, and triage their cases in the same transaction."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from dermtriage.cases.events import TriageCause
from dermtriage.cases.transitions import lock_cases, place_case
from dermtriage.core.enums import CLASSES, Scoring
from dermtriage.models import Assessment, Case, PendingImage
from dermtriage.releases.queries import active_policy, policy_of_release
from dermtriage.scoring.assessments import finding
from dermtriage.scoring.heat_maps import queue_heat_maps
from dermtriage.scoring.leases import MAX_ERROR, Lease, lock_held
from dermtriage.triage.image_severity import triage_image

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """What the ensemble predicted for one leased image. Probabilities range from 0 to 1."""

    lease: Lease
    p_severe: float
    probabilities: Mapping[str, float]
    disagreement: float
    out_of_scope: float | None
    members: Mapping[str, Any]
    quality: Mapping[str, float]
    inputs: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class CaseChange:
    """A case that triage changed: the kind of its event, and its images that were triaged."""

    kind: str
    image_ids: Sequence[UUID]


def record_scores(
    session: Session, scored: Sequence[ScoredImage], *, release_id: int, device: str, now: datetime
) -> int:
    """Write assessments and triage the cases they belong to.

    An image whose lease has been lost is dropped: the worker that holds it now writes its own.

    Returns
    -------
    int
        The number of images that were written.
    """
    cases = lock_cases(session, {one.lease.case_id for one in scored})
    held = lock_held(session, [one.lease for one in scored])
    kept = [one for one in scored if one.lease.image_id in held]
    if len(kept) < len(scored):
        logger.warning("leases lost", extra={"images": len(scored) - len(kept)})
    if not kept:
        return 0
    insert_assessments(session, kept, release_id=release_id, device=device)
    triage_from_assessments(session, cases, held, release_id=release_id, now=now)
    queue_heat_maps(session, cases, held, release_id=release_id)
    _delete_pending(session, held)
    return len(kept)


def record_failure(session: Session, lease: Lease, *, error: str, now: datetime) -> bool:
    """Mark an image as failed after its last attempt; its case becomes unscored.

    Returns
    -------
    bool
        False if the lease had been lost, so that nothing changed.
    """
    cases = lock_cases(session, {lease.case_id})
    if not lock_held(session, [lease]):
        return False
    for image in (image for case in cases for image in case.images):
        if image.id == lease.image_id:
            image.scoring, image.failure = Scoring.FAILED, error[:MAX_ERROR]
    _delete_pending(session, {lease.image_id})
    policy_id, policy = active_policy(session)
    for case in cases:
        case.changed_at = now
        place_case(session, case, TriageCause(policy_id, image_ids=[lease.image_id]), policy, now)
    return True


def insert_assessments(
    session: Session, scored: Sequence[ScoredImage], *, release_id: int, device: str
) -> None:
    """Write assessments alone: no case is triaged, and no lease is checked.

    Assessments that are stored already stay as they are.
    """
    if not scored:
        return
    session.execute(
        insert(Assessment).on_conflict_do_nothing(),
        [
            {
                "release_id": release_id,
                "image_id": one.lease.image_id,
                "p_severe": one.p_severe,
                "probabilities": [one.probabilities[name] for name in CLASSES],
                "disagreement": one.disagreement,
                "out_of_scope": one.out_of_scope,
                "members": dict(one.members),
                "quality": dict(one.quality),
                "inputs": dict(one.inputs),
                "device": device,
            }
            for one in scored
        ],
    )


def triage_from_assessments(
    session: Session,
    cases: Sequence[Case],
    image_ids: Collection[UUID],
    *,
    release_id: int,
    now: datetime,
    run_id: UUID | None = None,
) -> list[CaseChange]:
    """Triage cases by a release's stored assessments of some of their images.

    Parameters
    ----------
    cases
        Locked by `lock_cases`.
    image_ids
        Of these cases; images without an assessment by the release stay as they are.
    run_id
        The rescore run that made the assessments, if one did.

    Returns
    -------
    list of CaseChange
        The cases for which an event was written.
    """
    # The release may have been replaced while it scored: its scores need its own thresholds.
    policy_id, policy = policy_of_release(session, release_id)
    images = {image.id: image for case in cases for image in case.images}
    # Read back: a row that was stored before wins, and the columns have fewer digits.
    stored = session.scalars(
        select(Assessment).where(
            Assessment.release_id == release_id, Assessment.image_id.in_(image_ids)
        )
    )
    triaged: set[UUID] = set()
    previous: dict[UUID, int] = {}
    for assessment in stored:
        image = images[assessment.image_id]
        if image.release_id is not None and image.release_id != release_id:
            previous[image.id] = image.release_id
        image.scoring = Scoring.SCORED
        image.failure = None
        image.severity = triage_image(finding(assessment), policy).severity
        image.release_id = release_id
        triaged.add(image.id)
    changes = []
    for case in cases:
        own = [image.id for image in case.images if image.id in triaged]
        if not own:
            continue
        replaced = {image_id: previous[image_id] for image_id in own if image_id in previous}
        cause = TriageCause(policy_id, release_id, own, run_id, replaced)
        kind = place_case(session, case, cause, policy, now)
        if kind is not None or run_id is None:
            # A rescore that changes nothing is no news to a clinic.
            case.changed_at = now
        if kind is not None:
            changes.append(CaseChange(kind, own))
    return changes


def _delete_pending(session: Session, image_ids: Collection[UUID]) -> None:
    session.execute(delete(PendingImage).where(PendingImage.image_id.in_(image_ids)))

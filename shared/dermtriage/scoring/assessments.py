"""Record what a release said of images, and triage their cases in the same transaction."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, selectinload

from dermtriage.cases.transitions import TriageCause, place_case
from dermtriage.core.enums import CLASSES, Scoring
from dermtriage.database.bulk import equals_any
from dermtriage.imaging.retake_advice import QualityReason, quality_reasons
from dermtriage.models import Assessment, Case, Image, PendingImage, Release
from dermtriage.releases.queries import active_policy, policy_of_release
from dermtriage.scoring.leases import MAX_ERROR, Lease, lock_held
from dermtriage.triage.image_severity import Finding, triage_image

logger = logging.getLogger(__name__)


# What every batch asks is built once.
_LOCK = (
    select(Case)
    .where(equals_any(Case.id, "cases"))
    .order_by(Case.id)
    .options(selectinload(Case.images))
    .with_for_update(of=Case)
    .execution_options(populate_existing=True)
)


_SAID = select(Assessment).where(
    Assessment.release_id == bindparam("release"), equals_any(Assessment.image_id, "images")
)


_DELETE = delete(PendingImage).where(equals_any(PendingImage.image_id, "images"))


@dataclass(frozen=True, slots=True)
class Result:
    """What the ensemble said of one claimed image. Probabilities range from 0 to 1."""

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
    """A case that triage moved: the kind of its event, and the images that it was judged by."""

    kind: str
    image_ids: Sequence[UUID]


def record(
    session: Session, results: Sequence[Result], *, release_id: int, device: str, now: datetime
) -> int:
    """Write assessments and triage the cases they belong to.

    A result whose lease has been lost is dropped: whoever holds the image now writes its own.

    Returns
    -------
    int
        How many images were written.
    """
    cases = lock_cases(session, {result.lease.case_id for result in results})
    held = lock_held(session, [result.lease for result in results])
    kept = [result for result in results if result.lease.image_id in held]
    if len(kept) < len(results):
        logger.warning("leases lost", extra={"images": len(results) - len(kept)})
    if not kept:
        return 0
    _write(session, kept, release_id, device)
    triage_stored(session, cases, held, release_id=release_id, now=now)
    _finish(session, held)
    return len(kept)


def triage_stored(
    session: Session,
    cases: Sequence[Case],
    image_ids: Collection[UUID],
    *,
    release_id: int,
    now: datetime,
    run_id: UUID | None = None,
) -> list[CaseChange]:
    """Triage cases by what a release has said of some of their images.

    Parameters
    ----------
    cases
        Locked by `lock_cases`.
    image_ids
        Of these cases; those that the release has said nothing of stay as they are.
    run_id
        The rescore run that asked for it.

    Returns
    -------
    list of CaseChange
        The cases that changed.
    """
    # A release may have been replaced while it scored: its scores need its own thresholds.
    policy_id, policy = policy_of_release(session, release_id)
    images = {image.id: image for case in cases for image in case.images}
    # What is stored counts, not what was to be: it may be older, and has fewer digits.
    stored = session.scalars(_SAID, {"release": release_id, "images": list(image_ids)})
    touched: set[UUID] = set()
    previous: dict[UUID, int] = {}
    for assessment in stored:
        image = images[assessment.image_id]
        if image.release_id is not None and image.release_id != release_id:
            previous[image.id] = image.release_id
        image.scoring = Scoring.SCORED
        image.failure = None
        image.severity = triage_image(finding(assessment), policy).severity
        image.release_id = release_id
        touched.add(image.id)
    moved = []
    for case in cases:
        own = [image.id for image in case.images if image.id in touched]
        if not own:
            continue
        cause = TriageCause(
            policy_id,
            release_id,
            own,
            run_id,
            {image_id: previous[image_id] for image_id in own if image_id in previous},
        )
        kind = place_case(session, case, cause, policy, now)
        if kind is not None or run_id is None:
            # What a run scores again without a change is no news to a clinic.
            case.changed_at = now
        if kind is not None:
            moved.append(CaseChange(kind, own))
    return moved


def record_shadow(
    session: Session, results: Sequence[Result], *, release_id: int, device: str
) -> None:
    """Write assessments for a later comparison; they triage nothing, and no lease is asked for.

    Results that are there already stay as they are.
    """
    if results:
        _write(session, results, release_id, device)


def fail(session: Session, lease: Lease, *, error: str, now: datetime) -> bool:
    """Mark an image as failed after its last attempt; its case stands unscored, high up.

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
    _finish(session, {lease.image_id})
    policy_id, policy = active_policy(session)
    for case in cases:
        case.changed_at = now
        place_case(session, case, TriageCause(policy_id, image_ids=[lease.image_id]), policy, now)
    return True


def lock_cases(session: Session, case_ids: Collection[UUID]) -> Sequence[Case]:
    """Lock cases with their images until the end of the caller's transaction.

    Every writer locks cases in the order of their ids, and before any other row.
    """
    return session.scalars(_LOCK, {"cases": list(case_ids)}).all()


def finding(assessment: Assessment) -> Finding:
    """Return what triage needs of an assessment."""
    return Finding(assessment.p_severe, assessment.disagreement, assessment.out_of_scope)


def latest(session: Session, image_ids: Collection[UUID]) -> dict[UUID, Assessment]:
    """Return the assessments that triaged images; what a shadow said is none of them."""
    said = session.scalars(
        select(Assessment)
        .join(Image, Image.id == Assessment.image_id)
        .where(Image.id.in_(image_ids), Assessment.release_id == Image.release_id)
    )
    return {assessment.image_id: assessment for assessment in said}


def releases_of(session: Session, image_id: UUID) -> Sequence[str]:
    """Return the names of the releases that triaged an image, or may have; the newest first."""
    return session.scalars(
        select(Release.name)
        .join(Assessment, Assessment.release_id == Release.id)
        .where(Assessment.image_id == image_id, Release.activated_at.is_not(None))
        .order_by(Release.activated_at.desc())
    ).all()


def retake_reasons(
    session: Session, images: Iterable[Image]
) -> dict[UUID, tuple[QualityReason, ...]]:
    """Return why photographs should be taken again; of those that have been scored."""
    by_id = {image.id: image for image in images}
    return {
        image_id: quality_reasons(
            assessment.quality, width=by_id[image_id].width, height=by_id[image_id].height
        )
        for image_id, assessment in latest(session, by_id).items()
    }


def _write(session: Session, results: Sequence[Result], release_id: int, device: str) -> None:
    session.execute(
        insert(Assessment).on_conflict_do_nothing(),
        [
            {
                "release_id": release_id,
                "image_id": result.lease.image_id,
                "p_severe": result.p_severe,
                "probabilities": [result.probabilities[name] for name in CLASSES],
                "disagreement": result.disagreement,
                "out_of_scope": result.out_of_scope,
                "members": dict(result.members),
                "quality": dict(result.quality),
                "inputs": dict(result.inputs),
                "device": device,
            }
            for result in results
        ],
    )


def _finish(session: Session, image_ids: set[UUID]) -> None:
    # No row of them is loaded, and looking for one takes longer than the deletion.
    session.execute(
        _DELETE,
        {"images": list(image_ids)},
        execution_options={"synchronize_session": False},
    )

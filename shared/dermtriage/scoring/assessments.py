"""Read stored assessments."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermtriage.imaging.retake_advice import QualityReason, quality_reasons
from dermtriage.models import Assessment, Image, Release
from dermtriage.triage.image_severity import Finding


def finding(assessment: Assessment) -> Finding:
    """Return the part of an assessment that triage reads."""
    return Finding(assessment.p_severe, assessment.disagreement, assessment.out_of_scope)


def current_assessments(session: Session, image_ids: Collection[UUID]) -> dict[UUID, Assessment]:
    """Return the assessments by which images are triaged now; never those of a shadow."""
    current = session.scalars(
        select(Assessment)
        .join(Image, Image.id == Assessment.image_id)
        .where(Image.id.in_(image_ids), Assessment.release_id == Image.release_id)
    )
    return {assessment.image_id: assessment for assessment in current}


def triaging_releases(session: Session, image_id: UUID) -> Sequence[str]:
    """Return the names of the releases that assessed an image and were ever active.

    The release that was activated last comes first.
    """
    return session.scalars(
        select(Release.name)
        .join(Assessment, Assessment.release_id == Release.id)
        .where(Assessment.image_id == image_id, Release.activated_at.is_not(None))
        .order_by(Release.activated_at.desc())
    ).all()


def retake_reasons(
    session: Session, images: Iterable[Image]
) -> dict[UUID, tuple[QualityReason, ...]]:
    """Return by image the reasons to take the photograph again; scored images only."""
    by_id = {image.id: image for image in images}
    measured = session.execute(
        select(Image.id, Assessment.quality)
        .join(Assessment, Assessment.image_id == Image.id)
        .where(Image.id.in_(by_id), Assessment.release_id == Image.release_id)
    )
    return {
        image_id: quality_reasons(
            quality, width=by_id[image_id].width, height=by_id[image_id].height
        )
        for image_id, quality in measured
    }

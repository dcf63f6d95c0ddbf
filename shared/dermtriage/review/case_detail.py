"""One case in full, as a clinician reads it before a decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from dermtriage.core.errors import NotFound
from dermtriage.imaging.retake_advice import QualityReason, quality_reasons
from dermtriage.models import Assessment, Case, Decision, Image, Release, TriageEvent
from dermtriage.releases.queries import policy_of_release
from dermtriage.review.worklist import Item, item_query, to_item
from dermtriage.scoring import assessments
from dermtriage.triage.explanation import explain, member_severities
from dermtriage.triage.image_severity import triage_image
from dermtriage.triage.policy import Policy


@dataclass(frozen=True, slots=True)
class ReviewImage:
    """A photograph with the assessment that triaged it.

    Attributes
    ----------
    reasons
        Codes: why the severity differs from what the score alone would give.
    explanation
        In words: how many members agree, and why the image is indeterminate if it is.
    retake
        Why the photograph should be taken again.
    """

    image: Image
    assessment: Assessment | None
    release_name: str | None = None
    reasons: tuple[str, ...] = ()
    explanation: str = ""
    retake: tuple[QualityReason, ...] = ()


@dataclass(frozen=True, slots=True)
class ReviewCase:
    """Everything that a clinician sees of one case; events and decisions in their order."""

    item: Item
    images: list[ReviewImage]
    events: Sequence[TriageEvent]
    decisions: Sequence[Decision]


def read_case(session: Session, *, case_id: UUID, now: datetime) -> ReviewCase:
    """Return one case, in whatever state it is.

    Raises
    ------
    NotFound
        If there is no such case.
    """
    row = session.execute(
        item_query(now).where(Case.id == case_id).options(selectinload(Case.images))
    ).first()
    if row is None:
        raise NotFound("There is no such case.", remedy="Check its id.", code="case_not_found")
    item = to_item(row, now)
    current = assessments.current_assessments(session, [image.id for image in item.case.images])
    events = session.scalars(
        select(TriageEvent).where(TriageEvent.case_id == case_id).order_by(TriageEvent.id)
    ).all()
    decisions = session.scalars(
        select(Decision).where(Decision.case_id == case_id).order_by(Decision.id)
    ).all()
    judged_by = {
        release_id: (
            session.get_one(Release, release_id),
            policy_of_release(session, release_id)[1],
        )
        for release_id in {assessment.release_id for assessment in current.values()}
    }
    return ReviewCase(
        item,
        [_review_image(image, current.get(image.id), judged_by) for image in item.case.images],
        events,
        decisions,
    )


def _review_image(
    image: Image,
    assessment: Assessment | None,
    judged_by: Mapping[int, tuple[Release, Policy]],
) -> ReviewImage:
    if assessment is None:
        return ReviewImage(image, None)
    release, policy = judged_by[assessment.release_id]
    finding = assessments.finding(assessment)
    members = member_severities(assessment.members, release.manifest.get("members", ()))
    return ReviewImage(
        image,
        assessment,
        release.name,
        triage_image(finding, policy).reasons,
        explain(finding, members, policy),
        quality_reasons(assessment.quality, width=image.width, height=image.height),
    )

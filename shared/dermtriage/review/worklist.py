"""The worklist as clinicians read it: an index scan in pages, and one case in full."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, Select, literal, select, tuple_
from sqlalchemy.orm import Session, selectinload

from dermtriage.core import pagination
from dermtriage.core.enums import CaseState, Lane, Severity
from dermtriage.core.errors import NotFound
from dermtriage.imaging.retake_advice import QualityReason, quality_reasons
from dermtriage.models import (
    AWAITS_RETAKE,
    IS_OPEN,
    Assessment,
    Case,
    Clinic,
    Clinician,
    Decision,
    Image,
    Release,
    ReviewClaim,
    TriageEvent,
)
from dermtriage.releases.queries import policy_of_release
from dermtriage.scoring import assessments
from dermtriage.triage.explanation import explain, member_severities
from dermtriage.triage.image_severity import triage_image

Lines = Select[Case, str, str | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which cases to show; None shows all."""

    lane: Lane | None = None
    severity: Severity | None = None
    clinic_id: UUID | None = None
    overdue: bool | None = None
    awaiting_retake: bool = False
    """Instead of the open cases, those whose clinic was asked for new photographs."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the worklist."""

    case: Case
    clinic_name: str
    overdue: bool
    claimed_by: str | None
    claim_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines, and the cursor of those that follow."""

    items: list[Item]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """A photograph with the assessment that triaged it."""

    image: Image
    assessment: Assessment | None
    release_name: str | None = None
    reasons: tuple[str, ...] = ()
    explanation: str = ""
    """In words: which members agree, and why the image is indeterminate if it is."""
    retake: tuple[QualityReason, ...] = ()
    """Why the photograph should be taken again."""


@dataclass(frozen=True, slots=True)
class ReviewCase:
    """Everything a clinician sees of one case."""

    item: Item
    images: list[ScoredImage]
    events: Sequence[TriageEvent]
    decisions: Sequence[Decision]


def page(
    session: Session,
    *,
    now: datetime,
    limit: int,
    cursor: str | None = None,
    where: Filter | None = None,
) -> Page:
    """Return the most urgent open cases after `cursor`, in the order (lane, due_at, id).

    Raises
    ------
    RequestRejected
        If the cursor cannot be read.
    """
    statement = (
        page_statement(where or Filter(), now, cursor)
        .limit(limit + 1)
        .options(selectinload(Case.images))
    )
    items = [_item(row, now) for row in session.execute(statement)]
    more = len(items) > limit
    last = items[limit - 1].case if more else None
    return Page(
        items[:limit], pagination.encode(int(last.lane), last.due_at, last.id) if last else None
    )


def page_statement(where: Filter, now: datetime, cursor: str | None) -> Lines:
    """Build the query of a page, so that a bench can explain the very query that is run."""
    statement = (
        _lines(now)
        .where(AWAITS_RETAKE if where.awaiting_retake else IS_OPEN)
        .order_by(Case.lane, Case.due_at, Case.id)
    )
    if where.lane is not None:
        statement = statement.where(Case.lane == int(where.lane))
    if where.severity is not None:
        statement = statement.where(Case.severity == where.severity)
    if where.clinic_id is not None:
        statement = statement.where(Case.clinic_id == where.clinic_id)
    if where.overdue is not None:
        overdue = Case.due_at < now
        statement = statement.where(overdue if where.overdue else ~overdue)
    if cursor is not None:
        after = pagination.decode(cursor, int, datetime, UUID)
        key = tuple_(Case.lane, Case.due_at, Case.id)
        statement = statement.where(key > tuple_(*(literal(part) for part in after)))
    return statement


def read_case(session: Session, *, case_id: UUID, now: datetime) -> ReviewCase:
    """Return one case in whatever state.

    Raises
    ------
    NotFound
        If there is no such case.
    """
    row = session.execute(
        _lines(now).where(Case.id == case_id).options(selectinload(Case.images))
    ).first()
    if row is None:
        raise NotFound("There is no such case.", remedy="Check its id.", code="case_not_found")
    item = _item(row, now)
    latest = assessments.current_assessments(session, [image.id for image in item.case.images])
    images = [_scored(session, image, latest.get(image.id)) for image in item.case.images]
    events = session.scalars(
        select(TriageEvent).where(TriageEvent.case_id == case_id).order_by(TriageEvent.id)
    ).all()
    decisions = session.scalars(
        select(Decision).where(Decision.case_id == case_id).order_by(Decision.id)
    ).all()
    return ReviewCase(item, images, events, decisions)


def _scored(session: Session, image: Image, assessment: Assessment | None) -> ScoredImage:
    if assessment is None:
        return ScoredImage(image, None)
    release = session.get_one(Release, assessment.release_id)
    _, policy = policy_of_release(session, release.id)
    found = assessments.finding(assessment)
    own = member_severities(assessment.members, release.manifest.get("members", ()))
    return ScoredImage(
        image,
        assessment,
        release.name,
        triage_image(found, policy).reasons,
        explain(found, own, policy),
        quality_reasons(assessment.quality, width=image.width, height=image.height),
    )


def _lines(now: datetime) -> Lines:
    return (
        select(Case, Clinic.name, Clinician.username, ReviewClaim.expires_at)
        .join(Clinic, Clinic.id == Case.clinic_id)
        .outerjoin(ReviewClaim, (ReviewClaim.case_id == Case.id) & (ReviewClaim.expires_at > now))
        .outerjoin(Clinician, Clinician.id == ReviewClaim.clinician_id)
    )


def _item(row: Row[Case, str, str | None, datetime | None], now: datetime) -> Item:
    case, clinic_name, username, expires_at = row
    waits = case.state in {CaseState.OPEN, CaseState.AWAITING_RETAKE}
    overdue = waits and case.due_at < now
    return Item(case, clinic_name, overdue, username, expires_at)

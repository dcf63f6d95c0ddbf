"""The worklist: pages of cases in the order in which clinicians should read them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, Select, literal, select, tuple_
from sqlalchemy.orm import Session, selectinload

from dermtriage.core import pagination
from dermtriage.core.enums import CaseState, Lane, Severity
from dermtriage.models import AWAITS_RETAKE, IS_OPEN, Case, Clinic, Clinician, ReviewClaim

ItemQuery = Select[Case, str, str | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which cases a page holds; None does not restrict them."""

    lane: Lane | None = None
    severity: Severity | None = None
    clinic_id: UUID | None = None
    overdue: bool | None = None
    awaiting_retake: bool = False
    """Instead of the open cases, those that await new photographs from their clinic."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the worklist; `claimed_by` is a username."""

    case: Case
    clinic_name: str
    overdue: bool
    claimed_by: str | None
    claim_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines, and the cursor of the next page; None on the last one."""

    items: list[Item]
    next_cursor: str | None


def page(
    session: Session,
    *,
    now: datetime,
    limit: int,
    cursor: str | None = None,
    where: Filter | None = None,
) -> Page:
    """Return the most urgent cases after `cursor`, in the order (lane, due_at, id).

    Raises
    ------
    RequestRejected
        If the cursor is invalid.
    """
    statement = (
        page_query(where or Filter(), now, cursor)
        .limit(limit + 1)
        .options(selectinload(Case.images))
    )
    items = [to_item(row, now) for row in session.execute(statement)]
    has_more = len(items) > limit
    last = items[limit - 1].case if has_more else None
    return Page(
        items[:limit], pagination.encode(int(last.lane), last.due_at, last.id) if last else None
    )


def page_query(where: Filter, now: datetime, cursor: str | None) -> ItemQuery:
    """Build the query of a page without its limit; tests and a bench explain its plan."""
    statement = (
        item_query(now)
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


def item_query(now: datetime) -> ItemQuery:
    """Build the query of cases with what `to_item` needs of their clinic and claim."""
    return (
        select(Case, Clinic.name, Clinician.username, ReviewClaim.expires_at)
        .join(Clinic, Clinic.id == Case.clinic_id)
        .outerjoin(ReviewClaim, (ReviewClaim.case_id == Case.id) & (ReviewClaim.expires_at > now))
        .outerjoin(Clinician, Clinician.id == ReviewClaim.clinician_id)
    )


def to_item(row: Row[Case, str, str | None, datetime | None], now: datetime) -> Item:
    """Build a line from a row of `item_query`."""
    case, clinic_name, username, expires_at = row
    waiting = case.state in {CaseState.OPEN, CaseState.AWAITING_RETAKE}
    return Item(case, clinic_name, waiting and case.due_at < now, username, expires_at)

"""Read cases by the thousand as plain values, without a mapped object for each row."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermtriage.cases.placement import CaseStatus, Placement
from dermtriage.core.enums import Lane, Scoring, Severity
from dermtriage.models import Assessment, Case, Image
from dermtriage.triage.image_severity import Finding


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image, and the finding by which it is triaged; None while it has none."""

    id: UUID
    scoring: Scoring
    severity: Severity | None
    release_id: int | None
    finding: Finding | None


@dataclass(frozen=True, slots=True)
class StoredCase:
    """The columns of a case that a policy replay reads or writes."""

    id: UUID
    status: CaseStatus
    triage_version: int
    recalled_at: datetime | None
    changed_at: datetime
    images: list[StoredImage] = field(default_factory=list)


def read_cases(
    session: Session, *, after: UUID | None, limit: int, lock: bool
) -> Sequence[StoredCase]:
    """Read the next cases in the order of their ids.

    Parameters
    ----------
    after
        The id of the last case that was read; None for the start.
    lock
        Whether to lock the cases until the end of the transaction.

    Returns
    -------
    Sequence
        Fewer than `limit` only if none is left.
    """
    statement = select(
        Case.id,
        Case.state,
        Case.severity,
        Case.lane,
        Case.due_at,
        Case.ages_at,
        Case.latest_severity,
        Case.priority,
        Case.received_at,
        Case.triage_version,
        Case.recalled_at,
        Case.changed_at,
    )
    statement = statement.order_by(Case.id).limit(limit)
    if after is not None:
        statement = statement.where(Case.id > after)
    if lock:
        statement = statement.with_for_update(of=Case)
    cases = {}
    for row in session.execute(statement):
        placement = Placement(row.severity, Lane(row.lane), row.due_at, row.ages_at)
        status = CaseStatus(
            row.state, placement, row.latest_severity, row.priority, row.received_at
        )
        cases[row.id] = StoredCase(
            row.id, status, row.triage_version, row.recalled_at, row.changed_at
        )
    _read_images(session, cases)
    return list(cases.values())


def _read_images(session: Session, cases: dict[UUID, StoredCase]) -> None:
    """Append their images to some cases.

    Read after the cases are locked, so that the images are those that belong to their columns.
    """
    rows = session.execute(
        select(
            Image.case_id,
            Image.id,
            Image.scoring,
            Image.severity,
            Image.release_id,
            Assessment.p_severe,
            Assessment.disagreement,
            Assessment.out_of_scope,
        )
        .outerjoin(
            Assessment,
            (Assessment.image_id == Image.id) & (Assessment.release_id == Image.release_id),
        )
        .where(Image.case_id.in_(cases))
        .order_by(Image.case_id, Image.position)
    )
    for row in rows:
        finding = (
            None
            if row.p_severe is None
            else Finding(row.p_severe, row.disagreement, row.out_of_scope)
        )
        cases[row.case_id].images.append(
            StoredImage(row.id, row.scoring, row.severity, row.release_id, finding)
        )

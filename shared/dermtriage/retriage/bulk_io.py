"""Cases by the thousand: read as plain values under their locks, and written back by COPY."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import CreateTableAs, false, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.schema import DropTable

from dermtriage.cases.placement import CaseStatus, Placement, Transition
from dermtriage.cases.transitions import TriageCause, event_values
from dermtriage.core.enums import Lane, Scoring, Severity
from dermtriage.core.errors import Unavailable
from dermtriage.database.bulk import equals_any
from dermtriage.models import Assessment, Case, Decision, Image, TriageEvent
from dermtriage.triage.image_severity import Finding

_WRITTEN = (
    Case.state,
    Case.severity,
    Case.latest_severity,
    Case.lane,
    Case.due_at,
    Case.ages_at,
    Case.triage_version,
    Case.recalled_at,
    Case.changed_at,
)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A photograph, and what the release that triaged it said of it."""

    id: UUID
    scoring: Scoring
    severity: Severity | None
    release_id: int | None
    finding: Finding | None


@dataclass(frozen=True, slots=True)
class StoredCase:
    """A case as far as triage needs it."""

    id: UUID
    standing: CaseStatus
    triage_version: int
    recalled_at: datetime | None
    changed_at: datetime
    images: list[StoredImage] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a case and of its photographs."""

    case: StoredCase
    latest: Severity
    """By all of its photographs."""
    verdict: Transition
    images: Sequence[tuple[StoredImage, Severity]]
    """The photographs whose severity is another now."""
    recalled_decision: UUID | None


def read_cases(
    session: Session, *, after: UUID | None, limit: int, lock: bool
) -> Sequence[StoredCase]:
    """Read the cases that follow, in the order of their ids.

    Parameters
    ----------
    after
        The id of the last case before them; None begins with the first of all.
    lock
        Whether to keep every other writer waiting until the end of the transaction.

    Returns
    -------
    Sequence
        Of fewer than `limit` only if none is left.
    """
    statement = select(Case.id, Case.priority, Case.received_at, *_WRITTEN)
    statement = statement.order_by(Case.id).limit(limit)
    if after is not None:
        statement = statement.where(Case.id > after)
    if lock:
        statement = statement.with_for_update(of=Case)
    cases = {row.id: _case(row) for row in session.execute(statement)}
    # Read after the locks are held: what another writer committed in the meantime counts.
    its_own = (Assessment.image_id == Image.id) & (Assessment.release_id == Image.release_id)
    images = session.execute(
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
        .outerjoin(Assessment, its_own)
        .where(equals_any(Image.case_id, "cases"))
        .order_by(Image.case_id, Image.position),
        {"cases": list(cases)},
    )
    for row in images:
        said = (
            None
            if row.p_severe is None
            else Finding(row.p_severe, row.disagreement, row.out_of_scope)
        )
        cases[row.case_id].images.append(
            StoredImage(row.id, row.scoring, row.severity, row.release_id, said)
        )
    return list(cases.values())


def write(session: Session, changes: Sequence[Change], *, policy_id: int, now: datetime) -> None:
    """Write down what becomes of cases that are locked, with an event where there is one."""
    _update(
        session,
        Image.id,
        (Image.severity,),
        ((image.id, severity) for change in changes for image, severity in change.images),
    )
    _update(
        session,
        Case.id,
        _WRITTEN,
        ((change.case.id, *_values(change, now)) for change in changes if _differs(change)),
    )
    _update(
        session,
        Decision.id,
        (Decision.recalled_at,),
        ((change.recalled_decision, now) for change in changes if change.recalled_decision),
    )
    events = [_event(change, policy_id) for change in changes if change.verdict.kind is not None]
    if events:
        rows = ([_plain(value) for value in event.values()] for event in events)
        _copy(session, TriageEvent.__tablename__, events[0], rows)


def _case(row: Any) -> StoredCase:
    place = Placement(row.severity, Lane(row.lane), row.due_at, row.ages_at)
    standing = CaseStatus(row.state, place, row.latest_severity, row.priority, row.received_at)
    return StoredCase(row.id, standing, row.triage_version, row.recalled_at, row.changed_at)


def _differs(change: Change) -> bool:
    before, verdict = change.case.standing, change.verdict
    return (
        (before.state, before.place, before.latest_severity)
        != (verdict.state, verdict.place, change.latest)
    ) or verdict.rose


def _values(change: Change, now: datetime) -> tuple[Any, ...]:
    """Return the values of `_WRITTEN`."""
    case, verdict, place = change.case, change.verdict, change.verdict.place
    # A clinic reads state and due time, and neither severity nor lane.
    news = (verdict.state, place.due_at) != (case.standing.state, case.standing.place.due_at)
    return (
        verdict.state,
        place.severity,
        change.latest,
        int(place.lane),
        place.due_at,
        place.ages_at,
        case.triage_version + verdict.rose,
        now if change.recalled_decision else case.recalled_at,
        now if news else case.changed_at,
    )


def _event(change: Change, policy_id: int) -> dict[str, Any]:
    releases = {image.release_id for image, _ in change.images}
    cause = TriageCause(
        policy_id,
        releases.pop() if len(releases) == 1 else None,
        [image.id for image, _ in change.images],
    )
    return event_values(change.case.id, change.case.standing, change.verdict, cause)


def _plain(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, (dict, list)) else value


def _update(
    session: Session,
    key: InstrumentedAttribute[UUID],
    columns: Sequence[InstrumentedAttribute[Any]],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Give columns of one table new values; each row is a key and these values."""
    values = list(rows)
    if not values:
        return
    create = CreateTableAs(select(key, *columns).where(false()), "changed", temporary=True)
    changed = create.table
    session.execute(create)
    _copy(session, changed.name, changed.c.keys(), values)
    session.execute(
        update(key.class_)
        .where(key == changed.c[key.key])
        .values({column: changed.c[column.key] for column in columns})
        .execution_options(synchronize_session=False)
    )
    session.execute(DropTable(changed))


def _copy(
    session: Session, table: str, columns: Iterable[str], rows: Iterable[Sequence[Any]]
) -> None:
    driver = cast("psycopg.Connection[Any]", session.connection().connection.driver_connection)
    target = f"{table} ({', '.join(columns)})"
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.OperationalError as error:
        # SQLAlchemy turns the driver's errors into its own, but knows nothing of this call.
        raise Unavailable("The database cannot be reached.", code="database_unavailable") from error

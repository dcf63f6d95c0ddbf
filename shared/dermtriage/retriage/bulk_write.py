"""Write replayed cases by the thousand.

COPY fills a temporary table, and one UPDATE per table reads it: 100,000 cases take well under a
minute, where an UPDATE per row would take several.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from psycopg.types.json import Jsonb
from sqlalchemy import CreateTableAs, Table, false, select, update
from sqlalchemy.orm import Session
from sqlalchemy.schema import DropTable

from dermtriage.cases.events import TriageCause, event_values
from dermtriage.database.base import Base
from dermtriage.database.copy import copy_rows
from dermtriage.models import Case, Decision, Image, TriageEvent
from dermtriage.retriage.replay import ReplayedCase

Row = Mapping[str, Any]
"""Values by the name of their column."""


def write_replayed(
    session: Session, replayed: Sequence[ReplayedCase], *, policy_id: int, now: datetime
) -> None:
    """Write the changes of cases that the caller has locked, and their events."""
    _update_rows(
        session,
        Image,
        [
            {"id": image.id, "severity": severity}
            for one in replayed
            for image, severity in one.image_severities
        ],
    )
    _update_rows(session, Case, [_case_row(one, now) for one in replayed if _changes(one)])
    _update_rows(
        session,
        Decision,
        [
            {"id": one.recalled_decision_id, "recalled_at": now}
            for one in replayed
            if one.recalled_decision_id is not None
        ],
    )
    _insert_rows(session, TriageEvent.__tablename__, _event_rows(replayed, policy_id))


def _changes(replayed: ReplayedCase) -> bool:
    status, transition = replayed.case.status, replayed.transition
    before = (status.state, status.placement, status.latest_severity)
    after = (transition.state, transition.placement, replayed.latest_severity)
    return before != after or transition.rose


def _case_row(replayed: ReplayedCase, now: datetime) -> Row:
    case, transition = replayed.case, replayed.transition
    before, after = case.status.placement, transition.placement
    # A clinic reads state and due time, and neither severity nor lane.
    is_news = (transition.state, after.due_at) != (case.status.state, before.due_at)
    is_recalled = replayed.recalled_decision_id is not None
    return {
        "id": case.id,
        "state": transition.state,
        "severity": after.severity,
        "latest_severity": replayed.latest_severity,
        "lane": int(after.lane),
        "due_at": after.due_at,
        "ages_at": after.ages_at,
        "triage_version": case.triage_version + transition.rose,
        "recalled_at": now if is_recalled else case.recalled_at,
        "changed_at": now if is_news else case.changed_at,
    }


def _event_rows(replayed: Sequence[ReplayedCase], policy_id: int) -> list[Row]:
    rows: list[Row] = []
    for one in replayed:
        transition = one.transition
        if transition.kind is None:
            continue
        # An event names one release: of images of several, it names none.
        releases = {image.release_id for image, _ in one.image_severities}
        cause = TriageCause(
            policy_id,
            releases.pop() if len(releases) == 1 else None,
            [image.id for image, _ in one.image_severities],
        )
        values = event_values(
            one.case.id,
            transition.kind,
            cause,
            before=one.case.status,
            state=transition.state,
            placement=transition.placement,
        )
        rows.append(
            {
                name: Jsonb(value) if isinstance(value, (dict, list)) else value
                for name, value in values.items()
            }
        )
    return rows


def _update_rows(session: Session, model: type[Base], rows: Sequence[Row]) -> None:
    """Give columns of one table new values; each row has the same columns, `id` among them."""
    if not rows:
        return
    table = cast(Table, model.__table__)
    columns = [table.c[name] for name in rows[0]]
    create = CreateTableAs(select(*columns).where(false()), "replayed_rows", temporary=True)
    replayed = create.table
    session.execute(create)
    _insert_rows(session, replayed.name, rows)
    session.connection().execute(
        update(table)
        .where(table.c.id == replayed.c.id)
        .values({name: replayed.c[name] for name in rows[0] if name != "id"})
    )
    session.execute(DropTable(replayed))


def _insert_rows(session: Session, table: str, rows: Sequence[Row]) -> None:
    if rows:
        copy_rows(session, table, list(rows[0]), (list(row.values()) for row in rows))

"""Statements over many rows."""

import json
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    column,
    func,
    insert,
    literal,
    literal_column,
    select,
)
from sqlalchemy import cast as as_type
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.schema import CallableColumnDefault, ScalarElementColumnDefault

from dermtriage.database.base import Base


def equals_any(column: InstrumentedAttribute[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that a column holds one of the values of the list bound to `name`.

    However many they are, it is the same statement: it is built, compiled and planned once.
    """
    return column == any_(bindparam(name, type_=ARRAY(column.type)))


def insert_rows(session: Session, rows: Iterable[Base]) -> None:
    """Insert new rows by one statement; they do not become part of the session.

    It is for the rows that every upload writes: a flush would ask the database once a table, and
    take several times as long. All rows of a table travel as one parameter, since each of some
    sixty would be looked at by three layers on its way.
    """
    alike: dict[tuple[Table, tuple[str, ...]], list[dict[str, Any]]] = {}
    for row in rows:
        table = cast(Table, type(row).__table__)
        values = _values(row, table)
        alike.setdefault((table, tuple(values)), []).append(values)
    bound = {
        f"rows_{number}": json.dumps(values, default=_told)
        for number, values in enumerate(alike.values())
    }
    session.connection().execute(_insert_all(tuple(alike)), bound)


def _values(row: Base, table: Table) -> dict[str, Any]:
    """Return what a new row sets, its columns' defaults in Python included."""
    values = {}
    for each in table.columns:
        default = each.default
        if each.name in row.__dict__:
            values[each.name] = row.__dict__[each.name]
        elif isinstance(default, CallableColumnDefault):
            values[each.name] = default.arg(cast(Any, None))
        elif isinstance(default, ScalarElementColumnDefault):
            values[each.name] = default.arg
    return values


def _told(value: object) -> str:
    """Return a value as PostgreSQL reads it out of JSON, where JSON has no word for it."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return value.isoformat() if isinstance(value, date) else str(cast(UUID, value))


@lru_cache(maxsize=256)
def _insert_all(shape: tuple[tuple[Table, tuple[str, ...]], ...]) -> Select[int]:
    """Build the statement that inserts rows of such tables, with values for such columns.

    Foreign keys are checked at the end of a statement, so the order of the rows is free.
    """
    inserts = []
    for number, (table, names) in enumerate(shape):
        told = func.json_to_recordset(as_type(bindparam(f"rows_{number}", type_=Text), JSON))
        columns = [column(name, table.c[name].type) for name in names]
        rows = told.table_valued(*columns).render_derived(name=f"told_{number}", with_types=True)
        # Not by name: psycopg takes a statement of more than 4096 characters apart each time.
        everything: Select[Any] = select(literal_column("*")).select_from(rows)
        inserts.append(insert(table).from_select(names, everything).cte(f"new_{number}"))
    return select(literal(1)).add_cte(*inserts)

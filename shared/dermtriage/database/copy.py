"""COPY: the fastest way to write many rows."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import psycopg
from sqlalchemy.orm import Session

from dermtriage.core.errors import Unavailable


def copy_rows(
    session: Session, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Insert rows into a table by COPY, in the session's transaction.

    Parameters
    ----------
    columns
        Names of the columns, in the order of each row's values.

    Raises
    ------
    Unavailable
        If the connection is lost.
    """
    driver = cast("psycopg.Connection[Any]", session.connection().connection.driver_connection)
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.OperationalError as error:
        # SQLAlchemy wraps the driver's errors, but not those of a call past it.
        raise Unavailable("The database cannot be reached.", code="database_unavailable") from error

"""Rows that are written by COPY."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.errors import Unavailable
from dermtriage.database.copy import copy_rows
from dermtriage.database.engine import outage_as_unavailable


def test_a_connection_that_is_lost_while_rows_are_copied_is_an_outage(
    sessions: sessionmaker[Session], janitor: psycopg.Connection
) -> None:
    def copy_and_lose(session: Session) -> None:
        pid = session.scalar(select(func.pg_backend_pid()))
        session.execute(text("CREATE TEMPORARY TABLE lost (n int)"))

        def rows() -> Iterator[list[int]]:
            yield [1]
            janitor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            yield [2]

        with pytest.raises(Unavailable):
            copy_rows(session, "lost", ["n"], rows())

    def run() -> None:
        with outage_as_unavailable(), sessions() as session:
            copy_and_lose(session)

    # Its transaction cannot even be rolled back.
    with pytest.raises(Unavailable):
        run()

"""Errors, lost connections and settings of the database's connections."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.errors import Unavailable
from dermtriage.core.ids import new_id
from dermtriage.core.settings import Settings
from dermtriage.database.bulk import insert_new_rows
from dermtriage.database.engine import make_engine, outage_as_unavailable
from dermtriage.models import AuditEntry


def test_errors_do_not_contain_parameters(sessions: sessionmaker[Session]) -> None:
    with pytest.raises(DataError) as refused, sessions() as session:
        session.execute(text("SELECT 1 / 0 WHERE :name <> ''"), {"name": "Maria"})
    assert "Maria" not in str(refused.value)


def test_a_lost_connection_is_an_outage_and_the_next_one_works(
    sessions: sessionmaker[Session],
) -> None:
    with sessions() as session, sessions() as other:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises(Unavailable) as lost, outage_as_unavailable():
            session.scalar(text("SELECT 1"))
    assert lost.value.code == "database_unavailable"
    with outage_as_unavailable(), sessions() as session:
        assert session.scalar(text("SELECT 1")) == 1


def test_a_connection_that_was_lost_while_idle_is_replaced(
    sessions: sessionmaker[Session], settings: Settings
) -> None:
    own = text("SELECT pg_backend_pid()")
    with sessions() as session:
        pid = session.scalar(own)
    other = make_engine(settings)
    with other.begin() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    other.dispose()
    with sessions() as session:
        assert session.scalar(own) not in {pid, None}


def test_other_errors_are_no_outage(sessions: sessionmaker[Session]) -> None:
    with pytest.raises(IntegrityError), outage_as_unavailable(), sessions() as session:
        session.execute(text("INSERT INTO clinics DEFAULT VALUES"))


def test_every_connection_uses_utc(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        assert session.scalar(text("SHOW timezone")) == "UTC"


def test_a_commit_waits_for_the_disk_also_where_the_server_is_set_otherwise(
    settings: Settings, sessions: sessionmaker[Session]
) -> None:
    with sessions() as session:
        database = session.scalar(text("SELECT current_database()"))
        session.execute(text(f"ALTER DATABASE {database} SET synchronous_commit = off"))
        session.commit()
    engine = make_engine(settings)
    try:
        with engine.connect() as connection:
            assert connection.scalar(text("SHOW synchronous_commit")) == "on"
    finally:
        engine.dispose()
        with sessions.begin() as session:
            session.execute(text(f"ALTER DATABASE {database} RESET synchronous_commit"))


def test_new_rows_of_one_table_may_set_different_columns(sessions: sessionmaker[Session]) -> None:
    quoted = '"Aldea" \\ Ñorte'
    first = AuditEntry(actor_kind="clinic", actor_id=new_id(), action=quoted, detail={"n": "1"})
    second = AuditEntry(actor_kind="operator", action="x", case_id=new_id())
    with sessions.begin() as session:
        session.add_all([first, second])
        insert_new_rows(session)
        assert list(session) == []
    with sessions() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.actor_kind)).all()
    one, other = ((row.actor_id, row.case_id, row.action, row.detail) for row in rows)
    assert one == (first.actor_id, None, quoted, {"n": "1"})
    assert other == (None, second.case_id, "x", {})


def test_identifiers_sort_by_the_time_they_were_made() -> None:
    made = [new_id() for _ in range(1000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)

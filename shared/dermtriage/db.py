"""The way to PostgreSQL: engine, sessions, the base of the models, migrations."""

import json
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, cast
from uuid import UUID

import uuid_utils.compat
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    DateTime,
    Engine,
    MetaData,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    column,
    create_engine,
    event,
    func,
    insert,
    literal,
    literal_column,
    select,
)
from sqlalchemy import cast as as_type
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InternalError,
    InvalidatePoolError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.schema import CallableColumnDefault, ScalarElementColumnDefault

from dermtriage.errors import Unavailable
from dermtriage.settings import ROOT, Settings

_RESTED = 1.0
"""Seconds."""


class Base(DeclarativeBase):
    """The base of every model; constraints have names, so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True)}


def new_id() -> UUID:
    """Return an identifier that sorts by the time it was made (UUID version 7)."""
    return uuid_utils.compat.uuid7()


def utcnow() -> datetime:
    """Return the present moment, aware."""
    return datetime.now(UTC)


def make_engine(settings: Settings, *, durable: bool = True) -> Engine:
    """Build the pool of a process; connections are made when first needed.

    Parameters
    ----------
    durable
        Whether a commit waits for the disk. What does not may be forgotten if the database's
        machine fails within a second; never a part of it, nor anything before it.
    """
    settings.require("database_url")
    engine = create_engine(
        settings.database_url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=settings.connect_timeout,
        # The connection used last has its statements prepared and its pages warm.
        pool_use_lifo=True,
        hide_parameters=True,  # they hold patient data, and errors are logged
        connect_args={
            "connect_timeout": int(settings.connect_timeout),
            # A server that went silent must not hold a thread for the kernel's two hours.
            "tcp_user_timeout": 30_000,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60s"
            f" -c statement_timeout=60s -c synchronous_commit={'on' if durable else 'off'}",
        },
    )
    _ask_idle_connections(engine)
    return engine


def _ask_idle_connections(engine: Engine) -> None:
    """Ask a connection that has rested whether it still lives, before somebody relies on it.

    `pool_pre_ping` asks one that worked a moment ago too, which is every one in a rush.
    """

    def rest(_: object, record: ConnectionPoolEntry) -> None:
        record.info["since"] = time.monotonic()

    def ask(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        if time.monotonic() - record.info.get("since", math.inf) > _RESTED:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise InvalidatePoolError("The connection was lost while it rested.") from error

    event.listen(engine, "checkin", rest)
    event.listen(engine, "checkout", ask)


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """Return the factory of sessions; objects stay readable after a commit."""
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def question(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """Yield a session for a single statement that reads: no transaction begins or ends.

    Raises
    ------
    Unavailable
        If the database is out of reach.
    """
    with outage_as_unavailable(), sessions() as session:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        yield session


def among(column: InstrumentedAttribute[Any], name: str) -> ColumnElement[bool]:
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


@contextmanager
def outage_as_unavailable() -> Iterator[None]:
    """Turn a lost or refused connection into `Unavailable`; let every other error through."""
    try:
        yield
    except (OperationalError, InterfaceError, InternalError, PoolTimeout) as error:
        raise Unavailable("The database cannot be reached.", code="database_unavailable") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(
                "The database connection was lost.", code="database_unavailable"
            ) from error
        raise


def migrations_folder() -> Path:
    """Return where the migrations lie: beside the package in a wheel, else in the checkout."""
    packaged = Path(__file__).parent / "_migrations"
    return packaged if packaged.is_dir() else ROOT / "migrations"


def _alembic(settings: Settings) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    # Alembic expands % in its options, and a password may hold one.
    config.set_main_option("sqlalchemy.url", settings.database_url.replace("%", "%%"))
    return config


def upgrade(settings: Settings, revision: str = "head") -> None:
    """Migrate the database up to `revision`."""
    settings.require("database_url")
    command.upgrade(_alembic(settings), revision)


def downgrade(settings: Settings, revision: str = "base") -> None:
    """Migrate the database down to `revision`."""
    settings.require("database_url")
    command.downgrade(_alembic(settings), revision)


def is_current(engine: Engine, settings: Settings) -> bool:
    """Whether the database stands at the newest migration."""
    head = ScriptDirectory.from_config(_alembic(settings)).get_current_head()
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == head

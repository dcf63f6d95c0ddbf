"""The way to PostgreSQL: engine, sessions, the base of the models, migrations."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import ClassVar, cast
from uuid import UUID

import uuid_utils.compat
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import DateTime, Engine, Insert, MetaData, Table, create_engine, insert
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from dermtriage.errors import Unavailable
from dermtriage.settings import ROOT, Settings


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


def make_engine(settings: Settings) -> Engine:
    """Build the pool of a process; connections are made when first needed."""
    settings.require("database_url")
    return create_engine(
        settings.database_url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=settings.connect_timeout,
        pool_pre_ping=True,
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
            " -c statement_timeout=60s",
        },
    )


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """Return the factory of sessions; objects stay readable after a commit."""
    return sessionmaker(engine, expire_on_commit=False)


def insert_rows(session: Session, rows: Iterable[Base]) -> None:
    """Insert new rows at once, in their order; they do not become part of the session.

    Of what `session.add` and a flush take, this takes a quarter: it is for the rows that every
    upload writes. Rows of one table that stand together set the same columns.
    """
    connection = session.connection()
    for model, alike in groupby(rows, key=type):
        statement, names = _insert_into(model)
        values = [
            {name: row.__dict__[name] for name in names if name in row.__dict__} for row in alike
        ]
        connection.execute(statement, values)


@cache
def _insert_into(model: type[Base]) -> tuple[Insert, list[str]]:
    table = cast(Table, model.__table__)
    return insert(table).inline(), [column.name for column in table.columns]


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

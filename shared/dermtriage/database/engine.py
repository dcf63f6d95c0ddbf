"""The connection to PostgreSQL: engine, sessions, and outages as `Unavailable`."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.errors import QueryCanceled
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.errors import Unavailable
from dermtriage.core.settings import Settings


def make_engine(settings: Settings) -> Engine:
    """Build the engine and its pool; connections are opened when first needed."""
    settings.require("database_url")
    return create_engine(
        settings.database_url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=settings.connect_timeout,
        # The connection used last has its statements prepared and its pages cached.
        pool_use_lifo=True,
        pool_pre_ping=True,
        hide_parameters=True,  # they hold patient data, and errors are logged
        connect_args={
            "connect_timeout": int(settings.connect_timeout),
            # Without these, a server that stops responding blocks a thread for two hours.
            "tcp_user_timeout": 30_000,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            # A commit waits for the disk, whatever the server's default is: a receipt and a lease's
            # token must survive a crash of the database.
            "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60s"
            " -c statement_timeout=60s -c synchronous_commit=on",
        },
    )


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """Return a session factory; objects stay readable after a commit."""
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def autocommit_session(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """Yield a session in autocommit mode, to read without a transaction around the statements.

    Raises
    ------
    Unavailable
        If the database cannot be reached.
    """
    with outage_as_unavailable(), sessions() as session:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        yield session


@contextmanager
def outage_as_unavailable() -> Iterator[None]:
    """Turn a lost or refused connection, or one too slow, into `Unavailable`; others pass."""
    try:
        yield
    except (OperationalError, InterfaceError, InternalError, PoolTimeout) as error:
        if isinstance(getattr(error, "orig", None), QueryCanceled):
            raise Unavailable(
                "The database did not finish a statement in time.", code="database_slow"
            ) from error
        raise Unavailable("The database cannot be reached.", code="database_unavailable") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(
                "The database connection was lost.", code="database_unavailable"
            ) from error
        raise

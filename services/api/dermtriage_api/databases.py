"""The database connections of the API, in pools of their own for each kind of request."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions, outage_as_unavailable
from dermtriage_api.threads import ACCESS

HEALTH_CONNECTIONS = 2
"""One for `/readyz`, one for `/metrics`."""


@dataclass(frozen=True, slots=True)
class Database:
    """One pool of connections."""

    engine: Engine
    sessions: sessionmaker[Session]

    @classmethod
    def open(cls, settings: Settings, connections: int) -> "Database":
        """Make a pool of at most so many connections; none is opened yet."""
        engine = make_engine(
            settings.model_copy(update={"database_pool_size": max(1, connections)})
        )
        return cls(engine, make_sessions(engine))

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yield a session that is committed at the end of the block.

        Raises
        ------
        Unavailable
            If the database cannot be reached, at the commit too.
        """
        with outage_as_unavailable(), self.sessions.begin() as session:
            yield session


@dataclass(frozen=True, slots=True)
class Databases:
    """The pools; together `DERMTRIAGE_DATABASE_POOL_SIZE` connections and five more at most."""

    uploads: Database
    reading: Database
    """For the worklist, cases, claims and decisions."""
    access: Database
    """For authentication and logins."""
    health: Database

    @classmethod
    def open(cls, settings: Settings) -> "Databases":
        """Make the pools; no connection is opened yet."""
        return cls(
            uploads=Database.open(settings, settings.database_pool_size // 2),
            reading=Database.open(settings, reading_connections(settings)),
            access=Database.open(settings, ACCESS),
            health=Database.open(settings, HEALTH_CONNECTIONS),
        )

    def close(self) -> None:
        """Close all connections that are not in use."""
        for database in (self.uploads, self.reading, self.access, self.health):
            database.engine.dispose()


def reading_connections(settings: Settings) -> int:
    """Return how many connections, and so threads, requests that read have."""
    return max(1, settings.database_pool_size - settings.database_pool_size // 2)

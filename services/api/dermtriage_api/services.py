"""What the routes work with, opened once a process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions, outage_as_unavailable
from dermtriage.messaging.sender import ScoreSender
from dermtriage.storage.image_store import ImageStore


@dataclass(frozen=True, slots=True)
class Services:
    """The settings, and the ways to database, store and queue."""

    settings: Settings
    engine: Engine
    sessions: sessionmaker[Session]
    store: ImageStore
    sender: ScoreSender

    @classmethod
    def open(cls, settings: Settings) -> "Services":
        """Open everything; nothing is asked of a server yet but that a local store has a folder."""
        settings.require("secret_key")
        engine = make_engine(settings)
        sender = ScoreSender(settings)
        store = ImageStore.from_settings(settings)
        sender.start()
        return cls(settings, engine, make_sessions(engine), store, sender)

    def close(self) -> None:
        """Send what still waits to be sent and give the connections back."""
        self.sender.stop(self.settings.redis_timeout)
        self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yield a session whose work is committed at the end of the block.

        Raises
        ------
        Unavailable
            If the database is out of reach, at the commit too.
        """
        with outage_as_unavailable(), self.sessions.begin() as session:
            yield session


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]

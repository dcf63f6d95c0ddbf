"""What the routes use: settings, database, image store and queue, opened once per process."""

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
    """The settings and the clients of database, image store and queue."""

    settings: Settings
    engine: Engine
    sessions: sessionmaker[Session]
    store: ImageStore
    sender: ScoreSender

    @classmethod
    def open(cls, settings: Settings) -> "Services":
        """Create the clients, and the folder of a local store; no server is contacted yet."""
        settings.require("secret_key")
        engine = make_engine(settings)
        sender = ScoreSender(settings)
        store = ImageStore.from_settings(settings)
        sender.start()
        return cls(settings, engine, make_sessions(engine), store, sender)

    def close(self) -> None:
        """Send the messages that are still queued in this process and close the connections."""
        self.sender.stop(self.settings.redis_timeout)
        self.engine.dispose()

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


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]

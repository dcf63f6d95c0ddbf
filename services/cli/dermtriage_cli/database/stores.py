"""The database and the image store that a command works on."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions, outage_as_unavailable
from dermtriage.storage.image_store import ImageStore


@contextmanager
def open_store(settings: Settings) -> Iterator[tuple[sessionmaker[Session], ImageStore]]:
    """Yield a session factory and the image store that the settings name.

    Raises
    ------
    Unavailable
        If the database cannot be reached.
    """
    engine = make_engine(settings)
    try:
        sessions = make_sessions(engine)
        with outage_as_unavailable():
            yield sessions, ImageStore.from_settings(settings, sessions)
    finally:
        engine.dispose()

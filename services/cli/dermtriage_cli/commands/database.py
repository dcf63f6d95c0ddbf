"""The database of the stack that a command speaks of."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs: help stays quick.

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from dermtriage.settings import Settings


@contextmanager
def open_sessions(data_dir: Path) -> "Iterator[tuple[sessionmaker[Session], Settings]]":
    """Yield what makes sessions, and the settings.

    Raises
    ------
    ConfigurationError
        If no database is named, and no stack runs in the folder.
    Unavailable
        If the database cannot be reached.
    """
    from dermtriage import db
    from dermtriage_cli.installation import settings_of

    settings = settings_of(data_dir)
    engine = db.make_engine(settings)
    try:
        with db.outage_as_unavailable():
            yield db.make_sessions(engine), settings
    finally:
        engine.dispose()


@contextmanager
def open_session(data_dir: Path) -> "Iterator[tuple[Session, Settings]]":
    """Yield a session and its settings; what is done in it is committed at the end.

    Raises
    ------
    ConfigurationError, Unavailable
        See `open_sessions`.
    """
    with open_sessions(data_dir) as (sessions, settings), sessions.begin() as session:
        yield session, settings

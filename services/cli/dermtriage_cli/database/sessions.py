"""Sessions on the database that a command works on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dermtriage_cli.embedded.data_dir import resolve_settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from dermtriage.core.settings import Settings


@contextmanager
def open_sessions(data_dir: Path) -> "Iterator[tuple[sessionmaker[Session], Settings]]":
    """Yield a session factory and the settings.

    Raises
    ------
    ConfigurationError
        If no database is set and no stack runs in the folder.
    Unavailable
        If the database cannot be reached.
    """
    # Commands import this module, and their --help needs no SQLAlchemy.
    from dermtriage.database.engine import (  # noqa: PLC0415
        make_engine,
        make_sessions,
        outage_as_unavailable,
    )

    settings = resolve_settings(data_dir)
    engine = make_engine(settings)
    try:
        with outage_as_unavailable():
            yield make_sessions(engine), settings
    finally:
        engine.dispose()


@contextmanager
def open_session(data_dir: Path) -> "Iterator[tuple[Session, Settings]]":
    """Yield a session, which is committed at the end, and the settings.

    Raises
    ------
    ConfigurationError, Unavailable
        See `open_sessions`.
    """
    with open_sessions(data_dir) as (sessions, settings), sessions.begin() as session:
        yield session, settings

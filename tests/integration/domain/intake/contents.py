"""The contents of store and database, to be compared before and after a request."""

from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.settings import Settings
from dermtriage.database.base import Base
from dermtriage.storage.identity import MARKER


def stored_files(settings: Settings) -> dict[str, bytes]:
    """Return the content of every object in the store, by key; its marker is left out."""
    folder = Path(settings.store_url.removeprefix("file://"))
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARKER
    }


def row_counts(sessions: sessionmaker[Session]) -> dict[str, int]:
    """Return the number of rows of each table that intake writes to."""
    with sessions() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
            if table.name
            not in {"clinics", "clinicians", "releases", "release_activations", "policies"}
        }

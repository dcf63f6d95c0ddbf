"""The database of a stack that does not run, for commands that mend what keeps it from starting."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dermtriage.core.settings import Settings, get_settings
from dermtriage_cli.embedded.data_dir import DataDirectory, resolve_settings
from dermtriage_cli.embedded.postgres import EmbeddedPostgres


@contextmanager
def database_settings(data_dir: Path) -> Iterator[Settings]:
    """Yield the settings of the environment, or those of the stack in a folder.

    If that stack does not run, its PostgreSQL is started for the block.

    Raises
    ------
    ConfigurationError
        If no database is set, and the folder holds no stack.
    """
    directory = DataDirectory(data_dir)
    folder = directory.data_dir
    is_stopped = not get_settings().database_url and directory.running() is None
    if not (is_stopped and (folder / "postgres").is_dir()):
        yield resolve_settings(data_dir)
        return
    with directory:
        postgres = EmbeddedPostgres(folder / "postgres", log=directory.logs / "postgres.log")
        try:
            settings = get_settings()
            update = {"database_url": postgres.start()}
            if not settings.store_url:
                update["store_url"] = (folder / "store").as_uri()
            yield settings.model_copy(update=update)
        finally:
            postgres.stop()

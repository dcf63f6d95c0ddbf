"""Migrations of the schema with Alembic."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from dermtriage.core.settings import ROOT, Settings


def migrations_folder() -> Path:
    """Return the folder of the migrations: inside the package in a wheel, else in the checkout."""
    packaged = Path(__file__).parents[1] / "_migrations"
    return packaged if packaged.is_dir() else ROOT / "migrations"


def alembic_config(settings: Settings) -> Config:
    """Return Alembic's configuration for the database of the settings."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    # Alembic interpolates % in its options, and a password may contain one.
    config.set_main_option("sqlalchemy.url", settings.database_url.replace("%", "%%"))
    return config


def upgrade(settings: Settings, revision: str = "head") -> None:
    """Migrate the database up to `revision`."""
    settings.require("database_url")
    command.upgrade(alembic_config(settings), revision)


def downgrade(settings: Settings, revision: str = "base") -> None:
    """Migrate the database down to `revision`."""
    settings.require("database_url")
    command.downgrade(alembic_config(settings), revision)


def is_usable(engine: Engine) -> bool:
    """Whether this code can work with the schema of the database.

    It can if the database is at this code's newest migration, or at a later one, which this code
    does not have: a migration keeps what the running version uses.
    """
    # Alembic's own query writes two lines into the log each time.
    with engine.connect() as connection:
        if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
            return False
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    head, known = _own_revisions()
    return revision == head or (revision is not None and revision not in known)


@cache
def _own_revisions() -> tuple[str | None, frozenset[str]]:
    """Return the newest migration and all of them; reading them takes longer than the query."""
    scripts = ScriptDirectory(str(migrations_folder()))
    return scripts.get_current_head(), frozenset(
        script.revision for script in scripts.walk_revisions()
    )

"""Migrations of the schema with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

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


def is_current(engine: Engine, settings: Settings) -> bool:
    """Whether the database is at the newest migration."""
    head = ScriptDirectory.from_config(alembic_config(settings)).get_current_head()
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == head

"""Write a migration for the differences between the models and the newest migration.

``make migration NAME='add phone to clinics'`` runs it. The old schema comes from all migrations,
applied to a temporary embedded PostgreSQL. Read the file before you commit it: Alembic does not
recognise renames, and migrates no data.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic import command
from alembic.script import ScriptDirectory

from dermtriage.core.settings import Settings
from dermtriage.database.migrations import alembic_config, migrations_folder, upgrade
from dermtriage_cli.embedded.postgres import EmbeddedPostgres


def new_migration(name: str) -> Path:
    """Write the next migration and return its path.

    Parameters
    ----------
    name
        What the migration does, in a few words; becomes its docstring and part of its file's name.
    """
    with TemporaryDirectory(prefix="dermtriage-migration-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        try:
            settings = Settings(database_url=postgres.start())
            upgrade(settings)
            config = alembic_config(settings)
            head = ScriptDirectory.from_config(config).get_current_head() or "0000"
            number = f"{int(head) + 1:04}"
            command.revision(config, message=name, autogenerate=True, rev_id=number)
        finally:
            postgres.stop()
    (path,) = (migrations_folder() / "versions").glob(f"{number}_*.py")
    return path


if __name__ == "__main__":
    if not (name := " ".join(sys.argv[1:]).strip()):
        sys.exit("Give the migration a name: make migration NAME='add phone to clinics'")
    print(f"Wrote {new_migration(name).relative_to(Path.cwd())}; read it, then commit it")

"""How Alembic runs here: online only, one transaction, and never long in a lock's queue."""

from alembic import context
from sqlalchemy import create_engine, pool, text

import dermtriage.models  # noqa: F401 - fills the metadata
from dermtriage.core.settings import get_settings
from dermtriage.database.base import Base

config = context.config
url = config.get_main_option("sqlalchemy.url") or get_settings().database_url

if context.is_offline_mode():
    raise SystemExit("Migrations need a database: set DERMTRIAGE_DATABASE_URL.")

engine = create_engine(url, poolclass=pool.NullPool)
with engine.connect() as connection:
    # Two processes that start at once migrate one after the other, however long that takes.
    connection.execute(text("SELECT pg_advisory_lock(hashtext('dermtriage.migrations'))"))
    # A migration that waits for a table makes every later query wait behind it: rather fail.
    connection.execute(text("SET lock_timeout = '10s'"))
    connection.execute(text("SET timezone = 'UTC'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()

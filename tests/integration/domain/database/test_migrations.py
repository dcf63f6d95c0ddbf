"""The migrations create exactly the schema of the models, and can be undone."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, select, text
from tests import factories
from tests.conftest import TEMPLATE, Servers

from dermtriage import models
from dermtriage.clinics.withdrawal import withdraw_case
from dermtriage.core.settings import Settings
from dermtriage.database.base import Base
from dermtriage.database.engine import make_engine, make_sessions
from dermtriage.database.migrations import downgrade, is_usable, upgrade


@pytest.fixture
def settings(servers: Servers) -> Iterator[Settings]:
    """Settings of a database that the test may downgrade."""
    with servers.new_database() as url:
        yield Settings(database_url=url)


def _schema_names(engine: Engine) -> set[str]:
    """Return the names of all our tables, sequences, indexes, types and functions."""
    with engine.connect() as connection:
        return set(
            connection.scalars(
                text("""
                SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
                UNION SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
                UNION SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace""")
            )
        )


def test_downgrade_to_nothing_and_upgrade_again(settings: Settings) -> None:
    engine = make_engine(settings)
    before = _schema_names(engine)
    assert {"cases", "lease_tokens", "ix_cases_worklist"} <= before
    downgrade(settings)
    assert {name for name in _schema_names(engine) if "alembic_version" not in name} == set()
    assert not is_usable(engine)
    upgrade(settings)
    assert _schema_names(engine) == before
    assert is_usable(engine)
    upgrade(settings)  # does nothing
    downgrade(settings, "-1")
    assert not is_usable(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'a later one'"))
    assert is_usable(engine)
    engine.dispose()


def test_images_scored_before_migration_0002_get_their_release(
    settings: Settings,
) -> None:
    engine = make_engine(settings)
    sessions = make_sessions(engine)
    with sessions.begin() as session:
        receipt = factories.receive(session, factories.clinic(session), images=2)
        scored, pending = receipt.pending_image_ids
        factories.score(session, scored, factories.LOW)
        (before,) = session.scalars(select(models.ReleaseActivation))
    downgrade(settings, "0001")
    upgrade(settings)
    with sessions() as session:
        (release,) = session.scalars(select(models.Release))
        (after,) = session.scalars(select(models.ReleaseActivation))
        assert factories.image(session, scored).release_id == release.id
        assert factories.image(session, pending).release_id is None
        for name in ("release_id", "previous_release_id", "policy_id", "actor", "sensitivity_low"):
            assert getattr(after, name) == getattr(before, name)
    engine.dispose()


def test_a_withdrawal_outlasts_a_downgrade(settings: Settings) -> None:
    engine = make_engine(settings)
    sessions = make_sessions(engine)
    with sessions.begin() as session:
        clinic_id = factories.clinic(session)
        receipt = factories.receive(session, clinic_id)
        withdraw_case(session, clinic_id=clinic_id, case_id=receipt.case_id, now=factories.MONDAY)
    for migrate, revision, kind in ((downgrade, "0003", "decided"), (upgrade, "head", "withdrawn")):
        migrate(settings, revision)
        with sessions() as session:
            event = factories.events(session, receipt)[-1]
            assert (event.kind, event.to_state) == (kind, "withdrawn")
    engine.dispose()


def test_the_migrations_create_the_schema_of_the_models(shared_engine: Engine) -> None:
    with shared_engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrations_create_every_constraint_of_the_models(
    shared_engine: Engine, servers: Servers
) -> None:
    """Alembic does not compare CHECK constraints, nor how tables are stored."""
    name = f"test_{uuid4().hex}"
    servers.sql(f"CREATE DATABASE {name}")
    url = servers.database_url.replace(f"/{TEMPLATE}?", f"/{name}?")
    fresh = make_engine(Settings(database_url=url))
    try:
        Base.metadata.create_all(fresh)
        query = text("""
            SELECT conrelid::regclass::text || ' ' || conname || ' ' || pg_get_constraintdef(oid)
            FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace
              AND conrelid <> coalesce(to_regclass('alembic_version'), 0)
            UNION ALL
            SELECT relname || ' ' || array_to_string(reloptions, ',') FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL
            UNION ALL
            SELECT indexdef FROM pg_indexes
            WHERE schemaname = 'public' AND tablename <> 'alembic_version'
            ORDER BY 1""")
        with shared_engine.connect() as migrated, fresh.connect() as made:
            assert migrated.scalars(query).all() == made.scalars(query).all()
    finally:
        fresh.dispose()
        servers.sql(f"DROP DATABASE {name}")

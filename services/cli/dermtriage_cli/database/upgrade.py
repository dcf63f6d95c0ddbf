"""Bring a database up to date: its schema, and what a new one starts with."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from dermtriage.core.errors import ConfigurationError
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions, outage_as_unavailable
from dermtriage.database.migrations import upgrade as migrate
from dermtriage.releases import activation, queries
from dermtriage.storage.image_store import ImageStore
from dermtriage.storage.pairing import pair_new_store
from dermtriage_worker.ensemble.manifest_file import manifest_sha256, read_manifest


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade added to a new database.

    Attributes
    ----------
    release
        The release that was installed; None if one was active already.
    store_identity
        The identity by which an empty store was paired with the database; None if the database was
        paired already, or the settings name no store.
    """

    release: str | None
    store_identity: UUID | None


def upgrade_database(settings: Settings) -> Upgrade:
    """Migrate; give a new database the default release, and pair it with its empty store.

    Raises
    ------
    ConfigurationError
        If no database is set.
    ReleaseInvalid
        If the default release is needed and cannot be read.
    StoreMismatch
        If the database needs a store, and it has images or the store is not empty.
    Unavailable
        If the database cannot be reached, or a store that is needed.
    """
    with outage_as_unavailable():
        migrate(settings)
        engine = make_engine(settings)
        try:
            sessions = make_sessions(engine)
            with sessions.begin() as session:
                release = _install_release(session, settings)
            identity = None
            if settings.store_url:
                store = ImageStore.from_settings(settings, sessions)
                with sessions.begin() as session:
                    identity = pair_new_store(session, store)
            return Upgrade(release, identity)
        finally:
            engine.dispose()


def _install_release(session: Session, settings: Settings) -> str | None:
    try:
        queries.active_release(session)
    except ConfigurationError:
        pass
    else:
        return None
    folder = settings.releases_dir / settings.default_release
    manifest = read_manifest(folder)
    installed = activation.install_release(
        session,
        name=manifest.name,
        manifest=manifest.model_dump(mode="json"),
        sha256=bytes.fromhex(manifest_sha256(folder)),
        policy=manifest.thresholds.policy(settings.timezone),
    )
    return manifest.name if installed else None

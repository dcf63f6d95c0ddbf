"""Bring a database up to date: its schema, and the release and policy that it starts with."""

from dermtriage.core.errors import ConfigurationError
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions, outage_as_unavailable
from dermtriage.database.migrations import upgrade as migrate
from dermtriage.releases import activation, queries
from dermtriage_worker.ensemble.manifest_file import manifest_sha256, read_manifest


def upgrade_database(settings: Settings) -> str | None:
    """Migrate, and install the default release if no release is active.

    Returns
    -------
    str or None
        The name of the release that was installed; None if one was active already.

    Raises
    ------
    ConfigurationError
        If no database is set.
    ReleaseInvalid
        If the default release is needed and cannot be read.
    """
    with outage_as_unavailable():
        migrate(settings)
        engine = make_engine(settings)
        try:
            with make_sessions(engine).begin() as session:
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
        finally:
            engine.dispose()

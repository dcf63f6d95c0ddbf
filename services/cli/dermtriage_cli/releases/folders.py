"""The folder of a release: find it, verify it, register it in the database."""

import os
from pathlib import Path

from sqlalchemy.orm import Session

from dermtriage.core.errors import ReleaseInvalid
from dermtriage.core.settings import Settings
from dermtriage.releases import activation
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest import Manifest
from dermtriage_worker.ensemble.manifest_file import manifest_sha256


def release_folder(settings: Settings, name: str | None) -> Path:
    """Return the folder of a release.

    Parameters
    ----------
    settings
        Where releases are, and the default one.
    name
        Name or path of the release; None for the default one.
    """
    if name is None:
        return settings.releases_dir / settings.default_release
    return Path(name) if os.sep in name else settings.releases_dir / name


def verify_release(folder: Path) -> Manifest:
    """Load every file of a release as a worker would.

    Raises
    ------
    ReleaseInvalid
        If a file is missing, unknown, altered or unusable, or the folder has another name.
    """
    manifest = Ensemble.load(folder, "cpu").manifest
    if folder.resolve().name != manifest.name:
        raise ReleaseInvalid(
            f"The folder {folder} contains release {manifest.name}.",
            remedy="Workers look for a release in the folder of its name: rename the folder.",
        )
    return manifest


def register_release(session: Session, folder: Path) -> None:
    """Verify a release, and register it in the database if it is not there yet.

    Raises
    ------
    ReleaseInvalid
        If the folder is not a complete release.
    Conflict
        If the database has another release of this name.
    """
    manifest = verify_release(folder)
    activation.add_release(
        session,
        name=manifest.name,
        manifest=manifest.model_dump(mode="json"),
        sha256=bytes.fromhex(manifest_sha256(folder)),
    )

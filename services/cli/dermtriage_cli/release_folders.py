"""Releases as folders and as rows of the database, together."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from dermtriage.core.errors import ReleaseInvalid
from dermtriage.core.settings import Settings
from dermtriage.models import Release, ReleaseActivation
from dermtriage.releases import activation, queries
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest import Manifest, manifest_sha256, read_manifest

KEY_FIGURES = ("auc", "sensitivity_lower")


def verify_release(folder: Path) -> Manifest:
    """Load every file of a release as a worker would.

    Raises
    ------
    ReleaseInvalid
        If a file is missing, unknown, altered or unfit, or the folder has another name.
    """
    manifest = Ensemble.load(folder, "cpu").manifest
    if folder.resolve().name != manifest.name:
        raise ReleaseInvalid(
            f"The folder {folder} holds release {manifest.name}.",
            remedy="Workers look for a release in the folder of its name: rename the folder.",
        )
    return manifest


def introduce_release(session: Session, folder: Path) -> None:
    """Verify a release and make it known to the database, if it is not yet.

    Raises
    ------
    ReleaseInvalid
        If the folder is not a whole release.
    Conflict
        If the database knows another release of this name.
    """
    manifest = verify_release(folder)
    activation.add_release(
        session,
        name=manifest.name,
        manifest=manifest.model_dump(mode="json"),
        sha256=bytes.fromhex(manifest_sha256(folder)),
    )


@dataclass(frozen=True, slots=True)
class Listed:
    """One release as `release list` shows it.

    Attributes
    ----------
    mode
        ``active``, ``shadow``, ``idle``, or ``unknown`` to the database.
    created
        When it was built; None where no manifest tells.
    figures
        Of `KEY_FIGURES`, those that were measured: value, low and high each.
    gmac
        1e9 multiply-accumulates a photograph.
    activated
        When, by whom and why it last became the active one.
    problem
        What keeps workers from scoring with it; empty if nothing does.
    """

    name: str
    mode: str
    created: datetime | None
    figures: Mapping[str, Mapping[str, float]]
    gmac: float | None
    activated: Mapping[str, Any] | None
    problem: str


def list_all(session: Session, settings: Settings) -> list[Listed]:
    """Return the releases that lie in the releases' folder or are known to the database.

    Only manifests are read: `verify_release` looks at the files as well.
    """
    folders = {path.name: path for path in _subfolders(settings.releases_dir)}
    known = {release.name: release for release in queries.list_releases(session)}
    last = queries.last_activations(session)
    listed = []
    for name in sorted(folders.keys() | known.keys()):
        release = known.get(name)
        manifest, problem = _look(folders.get(name), release)
        listed.append(
            Listed(
                name=name,
                mode=release.mode if release else "unknown",
                created=datetime.fromisoformat(manifest["created"]) if manifest else None,
                figures={
                    figure: manifest["figures"][figure]
                    for figure in KEY_FIGURES
                    if manifest and figure in manifest["figures"]
                },
                gmac=manifest["gmac"] if manifest else None,
                activated=_activated(last.get(release.id)) if release else None,
                problem=problem,
            )
        )
    return listed


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]


def _look(folder: Path | None, release: Release | None) -> tuple[Mapping[str, Any], str]:
    """Return the manifest as the database has it, or else the folder, and what is wrong."""
    known = release.manifest if release else {}
    if folder is None:
        return known, "its folder is missing"
    try:
        manifest = read_manifest(folder)
    except ReleaseInvalid as error:
        return known, error.detail
    if release and release.manifest_sha256.hex() != manifest_sha256(folder):
        return known, "its folder is not the release that the database knows"
    return manifest.model_dump(mode="json"), ""


def _activated(activation: ReleaseActivation | None) -> Mapping[str, Any] | None:
    if activation is None:
        return None
    return {
        "at": activation.created_at,
        "by": activation.actor,
        "override_reason": activation.override_reason,
    }

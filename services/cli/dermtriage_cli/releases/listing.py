"""All releases, from their folders and from the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from dermtriage.core.errors import ReleaseInvalid
from dermtriage.core.settings import Settings
from dermtriage.models import Release, ReleaseActivation
from dermtriage.releases import queries
from dermtriage_worker.ensemble.manifest_file import manifest_sha256, read_manifest

KEY_FIGURES = ("auc", "sensitivity_lower")


@dataclass(frozen=True, slots=True)
class ListedRelease:
    """One release as `release list` shows it.

    Attributes
    ----------
    mode
        ``active``, ``shadow``, ``idle``, or ``unknown`` if the database does not have it.
    created
        When it was built; None without a manifest.
    figures
        Those of `KEY_FIGURES` that were measured, each with value, low and high.
    gmac
        1e9 multiply-accumulate operations per photograph.
    activated
        When, by whom and why it last became active; None if never.
    problem
        Why workers cannot score with it; empty if they can.
    """

    name: str
    mode: str
    created: datetime | None
    figures: Mapping[str, Mapping[str, float]]
    gmac: float | None
    activated: Mapping[str, Any] | None
    problem: str


def list_all(session: Session, settings: Settings) -> list[ListedRelease]:
    """Return the releases in the releases folder and in the database, sorted by name.

    Only manifests are read; `verify_release` also checks the files.
    """
    folders = {path.name: path for path in _subfolders(settings.releases_dir)}
    registered = {release.name: release for release in queries.list_releases(session)}
    last = queries.last_activations(session)
    listed = []
    for name in sorted(folders.keys() | registered.keys()):
        release = registered.get(name)
        manifest, problem = _read_folder(folders.get(name), release)
        listed.append(
            ListedRelease(
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


def _read_folder(folder: Path | None, release: Release | None) -> tuple[Mapping[str, Any], str]:
    """Return the manifest and the problem, if any; then the manifest is that of the database."""
    stored = release.manifest if release else {}
    if folder is None:
        return stored, "its folder is missing"
    try:
        manifest = read_manifest(folder)
    except ReleaseInvalid as error:
        return stored, error.detail
    if release and release.manifest_sha256.hex() != manifest_sha256(folder):
        return stored, "its folder differs from the release in the database"
    return manifest.model_dump(mode="json"), ""


def _activated(activation: ReleaseActivation | None) -> Mapping[str, Any] | None:
    if activation is None:
        return None
    return {
        "at": activation.created_at,
        "by": activation.actor,
        "override_reason": activation.override_reason,
    }

"""Read and write the manifest in a release's folder, without torch."""

import hashlib
from pathlib import Path

from pydantic import ValidationError

from dermtriage.core.errors import ReleaseInvalid
from dermtriage_worker.ensemble.manifest import Manifest

MANIFEST_NAME = "manifest.json"


def read_manifest(folder: Path) -> Manifest:
    """Read a release's manifest without loading its members.

    Raises
    ------
    ReleaseInvalid
        If it is missing, or has unknown, missing or ill-formed fields.
    """
    content = _read(folder)
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'manifest'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ReleaseInvalid(
            f"The manifest of release {folder.name} cannot be used: {faults}.",
            remedy="Restore the release from its source, or build it again.",
        ) from error


def manifest_sha256(folder: Path) -> str:
    """Return the SHA-256 of the manifest's bytes in hexadecimal.

    It identifies the whole release, since the manifest holds the SHA-256 of all other files.

    Raises
    ------
    ReleaseInvalid
        If the manifest is missing.
    """
    return hashlib.sha256(_read(folder)).hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into a release's folder."""
    text = manifest.model_dump_json(indent=2) + "\n"
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")


def refuse_unknown_files(folder: Path, manifest: Manifest) -> None:
    """Check that a release's folder holds no file that its manifest does not name.

    Raises
    ------
    ReleaseInvalid
        If there is one.
    """
    known = {MANIFEST_NAME, *(ref.file for ref in manifest.files())}
    unknown = sorted(entry.name for entry in folder.iterdir() if entry.name not in known)
    if unknown:
        raise ReleaseInvalid(
            f"Release {manifest.name} holds a file that is not in its manifest: {unknown[0]}.",
            remedy=f"Remove it from {folder}, or restore the release.",
        )


def _read(folder: Path) -> bytes:
    try:
        return (folder / MANIFEST_NAME).read_bytes()
    except OSError as error:
        raise ReleaseInvalid(
            f"Release {folder.name} has no readable {MANIFEST_NAME} ({error.strerror}).",
            remedy=f"Check that {folder} is a release's folder.",
        ) from error

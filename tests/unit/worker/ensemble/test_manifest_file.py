"""A release's manifest is written, read and identified without torch."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from dermtriage.core.errors import ReleaseInvalid
from dermtriage_worker.ensemble.manifest_file import (
    MANIFEST_NAME,
    manifest_sha256,
    read_manifest,
    write_manifest,
)
from dermtriage_worker.ensemble.tiny import build_tiny_release


def test_what_is_written_is_read(tmp_path: Path) -> None:
    manifest = build_tiny_release(tmp_path / "one")
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    assert manifest.name == "one"


def test_digest_is_of_the_file(tmp_path: Path) -> None:
    build_tiny_release(tmp_path)
    content = (tmp_path / MANIFEST_NAME).read_bytes()
    assert manifest_sha256(tmp_path) == hashlib.sha256(content).hexdigest()


def test_missing_and_broken_manifests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseInvalid, match=r"manifest\.json"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST_NAME).write_text("{")
    with pytest.raises(ReleaseInvalid, match="cannot be used"):
        read_manifest(tmp_path)


def test_reading_needs_no_torch() -> None:
    code = "import sys, dermtriage_worker.ensemble.manifest_file; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

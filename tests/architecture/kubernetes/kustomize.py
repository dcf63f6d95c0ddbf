"""The Kubernetes manifests as a cluster gets them, built by ``kubectl kustomize``.

Without kubectl the tests that need the manifests are skipped, file by file.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

Manifest = dict[str, Any]


def read(folder: Path) -> Manifest:
    """Return a folder's kustomization."""
    found: Manifest = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return found


def build(folder: Path) -> list[Manifest]:
    """Return the manifests that a folder's kustomization builds.

    The name of the ConfigMap is without the hash that kustomize appends.
    """
    if not shutil.which("kubectl"):
        pytest.skip(
            "kubectl is not installed: see https://kubernetes.io/docs/tasks/tools/",
            allow_module_level=True,
        )
    command = ["kubectl", "kustomize", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return list(
        yaml.safe_load_all(re.sub(r"\bname: settings-[a-z0-9]{10}\b", "name: settings", built))
    )


def pod(manifest: Manifest) -> Manifest:
    """Return the template of the pods that a manifest makes; empty if it makes none."""
    template: Manifest = manifest.get("spec", {}).get("template", {})
    return template


def containers(manifest: Manifest) -> list[Manifest]:
    """Return all containers of the pods that a manifest makes."""
    spec = pod(manifest).get("spec", {})
    return [*spec.get("initContainers", ()), *spec.get("containers", ())]


def variables(path: Path) -> dict[str, str]:
    """Read a file of variables, one a line; comments begin with ``#``."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)

"""The overlays of the Kubernetes manifests, as kustomize builds them, and their parts."""

from typing import Any

import pytest
from tests.architecture.kubernetes import kustomize
from tests.architecture.kubernetes.kustomize import Manifest, containers

from dermtriage.core.settings import ROOT, Settings

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = {
    path.parent.name: path.parent for path in sorted(FOLDER.glob("overlays/*/kustomization.yaml"))
}
BUILT = {name: kustomize.build(folder) for name, folder in OVERLAYS.items()}
"""The manifests of each overlay."""

SECRETS = kustomize.variables(FOLDER / "secret.env.example")
"""The variables of the Secret, with the values of the example."""

PROCESSES = {"api", "migrate", "upkeep", "worker", "worker-bulk"}
"""Pinned, because the tests look each of them up in every overlay."""

each_overlay = pytest.mark.parametrize("name", BUILT)
each_process = pytest.mark.parametrize(
    ("name", "process"), [(o, p) for o in BUILT for p in sorted(PROCESSES)]
)


def of_kind(name: str, kind: str) -> dict[str, Manifest]:
    """Return the manifests of one kind in an overlay, by their names."""
    return {m["metadata"]["name"]: m for m in BUILT[name] if m["kind"] == kind}


def workload(name: str, process: str) -> Manifest:
    """Return the Deployment or Job of a process."""
    return (of_kind(name, "Deployment") | of_kind(name, "Job"))[process]


def settings_of(name: str) -> Settings:
    """Return the settings that the processes of an overlay start with, but for the secrets."""
    data = of_kind(name, "ConfigMap")["settings"]["data"]
    return Settings(**{key.removeprefix("DERMTRIAGE_").lower(): v for key, v in data.items()})


def environment(container: Manifest) -> dict[str, Any]:
    """Return the entries of a container's variables, by their names."""
    return {entry["name"]: entry for entry in container["env"]}


def worker_container(name: str, process: str) -> Manifest:
    """Return the container of a worker that scores."""
    (found,) = (c for c in containers(workload(name, process)) if c["name"] == "worker")
    return found
